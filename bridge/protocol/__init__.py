"""The wire: what a command is, how frames are read and written, and who subscribes to which events."""
