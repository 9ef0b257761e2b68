"""Used by every part of the client: errors, events, files, results and the table of commands."""
