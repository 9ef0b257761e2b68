"""Sweeps: many variations of the open graph, exported by the page and queued by the server a few at a time."""
