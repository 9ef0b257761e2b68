"""Model downloads: what a workflow needs, where to get it, bytes to disk, and the register of downloads."""
