"""Code shared by the bridge and the downloads: errors, clocks, JSON files, signals and texts."""
