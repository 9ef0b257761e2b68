"""Shared parts of the downloads: settings, credentials, pacing and error reports."""
