"""Facts about the running ComfyUI: its versions and memory, and its log."""
