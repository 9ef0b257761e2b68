"""The download service and its commands."""
