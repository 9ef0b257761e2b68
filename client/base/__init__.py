"""The base of the two clients: connections, events and sweeps."""
