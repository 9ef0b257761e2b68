"""The bridge with its start and shutdown, the dispatch of commands, and the feed of the panel."""
