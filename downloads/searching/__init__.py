"""Searches of model hosts for missing models that nothing on this computer names a URL for."""
