"""Turns commands into requests, and responses into values."""
