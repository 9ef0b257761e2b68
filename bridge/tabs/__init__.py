"""The connected browser tabs: their registry, requests, transports and last known graph."""
