"""Policies for requests: access, approvals, limits, idempotency, and the activity log."""
