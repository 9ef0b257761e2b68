"""One ComfyUI of a farm: the connection to it, its node types and models, and its results."""
