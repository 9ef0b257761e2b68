"""Parsing of URLs, and their form in messages."""

from __future__ import annotations

from yarl import URL


def read_url(text: str, *, encoded: bool = False) -> URL:
    """Parse a URL. ValueError if any of its parts is invalid.

    Args:
        encoded: whether the text is percent-encoded already; otherwise it is encoded where needed.
    """
    try:
        url = URL(text, encoded=encoded)
        # yarl parses these lazily, and may raise then.
        _ = url.host, url.port, url.user
    except IndexError:
        # yarl raises this for brackets before an @.
        raise ValueError("not a URL") from None
    return url


def shown(url: URL | str) -> str:
    """A URL for use in messages: without query, fragment and credentials, which may hold secrets."""
    try:
        url = read_url(url) if isinstance(url, str) else url
        if not url.host:
            return str(url.with_query(None).with_fragment(None)) if url.path else "That URL"
    except ValueError:
        return "That URL"
    port = "" if url.is_default_port() or url.port is None else f":{url.port}"
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{port}{url.path}"
