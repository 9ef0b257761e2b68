"""What the two clients are built on: connections, events and sweeps."""
