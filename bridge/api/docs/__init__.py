"""The reference of all commands at /uiapi/docs: its HTML, its examples, its style and its script."""
