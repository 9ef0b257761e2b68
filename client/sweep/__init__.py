"""Sweeps: many runs of the open workflow with other values, their results, files and contact sheets."""
