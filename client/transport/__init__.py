"""HTTP and websocket connections to the server."""
