"""Everything specific to ComfyUI: its nodes, queue, runs, pictures and files."""
