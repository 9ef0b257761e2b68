"""The HTTP and websocket routes, and the documents that describe them."""
