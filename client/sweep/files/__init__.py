"""The files of a sweep: their names, their index and their contact sheets, and lists of values as text."""
