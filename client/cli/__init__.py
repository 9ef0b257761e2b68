"""The command line `uiapi`."""
