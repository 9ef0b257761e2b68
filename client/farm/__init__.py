"""A farm: several ComfyUIs that share the variations of a sweep, with Dask as the scheduler."""
