"""A farm: many ComfyUIs that share the variations of a sweep, with Dask as the scheduler."""
