"""Which models a workflow needs, and which of them are present."""
