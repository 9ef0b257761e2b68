"""Tokens for model hosts: which hosts they may be sent to, and how they are kept out of messages, logs and files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from yarl import URL

# Query keys in which people paste a token; it is removed from the URL and sent as a header instead.
TOKEN_KEYS = frozenset({"token", "api_key", "apikey", "access_token", "hf_token"})
# Further query keys that grant access. They are sent with the request, and never saved.
CREDENTIAL_KEYS = TOKEN_KEYS | {
    *("key", "sig", "signature", "auth", "authorization", "password", "passwd", "pwd", "secret", "credential"),
    *("awsaccesskeyid", "googleaccessid", "policy", "key-pair-id", "jwt", "session", "code"),
}
# Prefixes of the query keys with which object stores sign a URL.
SIGNING_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "q-")

_known: set[str] = set()
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s'\",;]+")
_LOGIN = re.compile(r"(?<=//)[^/?#]*@")
# Up to where another URL begins, since a long text of many must not be looked through from each of them.
_QUERY = re.compile(r"(https?://(?:(?!https?://)[^\s'\"<>?#])+)[?#][^\s'\"<>)]*")


@dataclass(frozen=True)
class Secret:
    """A bearer token and the only hosts (`host:port`) it may be sent to. Its text form does not show it."""

    token: str = field(repr=False)
    hosts: frozenset[str]

    def __post_init__(self) -> None:
        if len(self.token) >= 6:
            _known.add(self.token)

    def headers_for(self, url: URL) -> dict[str, str]:
        """The header with the token for a host it belongs to; no headers for any other host."""
        return {"Authorization": f"Bearer {self.token}"} if origin(url) in self.hosts else {}


def origin(url: URL) -> str:
    """The host and port of a URL, as `host:port`."""
    return f"{url.host}:{url.port}"


def redact(text: str) -> str:
    """`text` without known tokens, bearer headers and the queries of URLs."""
    for token in _known:
        text = text.replace(token, "…")
    return _QUERY.sub(r"\1", _BEARER.sub(r"\1…", text))


def without_login(text: str) -> str:
    """A URL without the user name and password before its host; it need not be a valid URL."""
    return _LOGIN.sub("", text)


def without_token(url: URL) -> tuple[URL, str | None]:
    """A URL without the token in its query, and that token."""
    token = next((value for key, value in url.query.items() if key.lower() in TOKEN_KEYS and value), None)
    if token is None:
        return url, None
    kept = [(key, value) for key, value in url.query.items() if key.lower() not in TOKEN_KEYS]
    return url.with_query(kept or None), token


def without_credentials(url: URL) -> URL:
    """A URL that is safe to save and return: without the parts of its query that grant access."""
    kept = [(key, value) for key, value in url.query.items() if not _is_credential(key.lower())]
    return url.with_query(kept or None).with_fragment(None) if len(kept) < len(url.query) or url.fragment else url


def _is_credential(key: str) -> bool:
    return key in CREDENTIAL_KEYS or key.startswith(SIGNING_PREFIXES)
