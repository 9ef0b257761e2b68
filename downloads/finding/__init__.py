"""Where a missing model can be downloaded from, if neither the request nor the saved map says so."""
