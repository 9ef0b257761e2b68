"""The protocol: command declarations, frames, and event subscriptions."""
