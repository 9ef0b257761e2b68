"""Programs that drive ComfyUI's open workflow, to run as they are or to take from; docs/runs.md says what each does."""
