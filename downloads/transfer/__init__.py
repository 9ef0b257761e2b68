"""Bytes from a host: which hosts are allowed, HTTP, the transfer and its thread."""
