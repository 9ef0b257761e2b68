"""Example programs that drive ComfyUI's open workflow; docs/runs.md describes them."""
