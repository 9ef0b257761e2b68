"""Where a model can be downloaded from, and how each model host is asked."""
