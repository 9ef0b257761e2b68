"""Tokens for model hosts: where they come from, whom they may be shown to, and keeping them out of every text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from yarl import URL

# Query keys in which people paste a token; it is taken out of the address and sent as a header instead.
TOKEN_KEYS = frozenset({"token", "api_key", "apikey", "access_token", "hf_token"})
# Further query keys that let whoever has the address in. They belong to the request, and are kept nowhere.
CREDENTIAL_KEYS = TOKEN_KEYS | {
    *("key", "sig", "signature", "auth", "authorization", "password", "passwd", "pwd", "secret", "credential"),
    *("awsaccesskeyid", "googleaccessid", "policy", "key-pair-id", "jwt", "session", "code"),
}
# Beginnings of the keys with which object stores sign an address.
SIGNING_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "q-")

_known: set[str] = set()
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s'\",;]+")
_LOGIN = re.compile(r"(?<=//)[^/?#]*@")
_QUERY = re.compile(r"(https?://[^\s'\"<>?#]+)[?#][^\s'\"<>)]*")


@dataclass(frozen=True)
class Secret:
    """A bearer token and the only hosts (`host:port`) it may be sent to. Its text form does not show it."""

    token: str = field(repr=False)
    hosts: frozenset[str]

    def __post_init__(self) -> None:
        if len(self.token) >= 6:
            _known.add(self.token)

    def headers_for(self, url: URL) -> dict[str, str]:
        """The header that carries the token, for a host it belongs to; nothing for any other."""
        return {"Authorization": f"Bearer {self.token}"} if origin(url) in self.hosts else {}


def origin(url: URL) -> str:
    """Whom a URL is addressed to, as `host:port`."""
    return f"{url.host}:{url.port}"


def redact(text: str) -> str:
    """`text` without any token that was used, any bearer header and the query of any address."""
    for token in _known:
        text = text.replace(token, "…")
    return _QUERY.sub(r"\1", _BEARER.sub(r"\1…", text))


def without_login(text: str) -> str:
    """An address, also one that cannot be read, without the user name and password before its host."""
    return _LOGIN.sub("", text)


def without_token(url: URL) -> tuple[URL, str | None]:
    """A URL without the token pasted into its query, and that token."""
    token = next((value for key, value in url.query.items() if key.lower() in TOKEN_KEYS and value), None)
    if token is None:
        return url, None
    kept = [(key, value) for key, value in url.query.items() if key.lower() not in TOKEN_KEYS]
    return url.with_query(kept or None), token


def without_credentials(url: URL) -> URL:
    """A URL as it may be kept and answered: without any part of its query that would let somebody in."""
    kept = [(key, value) for key, value in url.query.items() if not _is_credential(key.lower())]
    return url.with_query(kept or None).with_fragment(None) if len(kept) < len(url.query) or url.fragment else url


def _is_credential(key: str) -> bool:
    return key in CREDENTIAL_KEYS or key.startswith(SIGNING_PREFIXES)
