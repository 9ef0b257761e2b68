"""Downloads from request to end: planned, run, recorded and announced."""
