"""Programs that drive ComfyUI's open workflow, to run as they are or to take from; the README tells what each does."""
