"""The bridge as a whole: its start and end, the dispatch of commands, and the feed of the panel."""
