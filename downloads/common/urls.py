"""URLs: read and checked, and as they may be shown."""

from __future__ import annotations

from yarl import URL


def read_url(text: str, *, encoded: bool = False) -> URL:
    """An address somebody else wrote, whose parts can all be read; ValueError for anything else.

    Args:
        encoded: take it as it is; otherwise what needs to be encoded is.
    """
    try:
        url = URL(text, encoded=encoded)
        # yarl reads these late, and then may raise as well.
        _ = url.host, url.port, url.user
    except IndexError:
        # What yarl makes of brackets before an @.
        raise ValueError("not an address") from None
    return url


def shown(url: URL | str) -> str:
    """A URL as it may stand in a message: without query, fragment or credentials, where secrets travel."""
    try:
        url = read_url(url) if isinstance(url, str) else url
        if not url.host:
            return str(url.with_query(None).with_fragment(None)) if url.path else "That address"
    except ValueError:
        return "That address"
    port = "" if url.is_default_port() or url.port is None else f":{url.port}"
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{port}{url.path}"
