"""The server side of the live graph: protocol, tabs, policies, commands and routes."""
