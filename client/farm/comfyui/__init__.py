"""One ComfyUI of a farm: the connection to it, what it has, and what it made."""
