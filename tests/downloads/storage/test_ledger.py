"""What a partial file may be resumed as."""

from __future__ import annotations

import pytest
from comfyui_uiapi.downloads.storage.ledger import Identity

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("size", "validator", "sha256", "resumable"),
    [
        (10, '"etag"', None, True),
        (10, None, DIGEST, True),
        (10, '"etag"', DIGEST, True),
        (10, None, None, False),
        (None, '"etag"', DIGEST, False),
    ],
)
def test_a_file_is_resumed_only_if_its_bytes_can_be_verified(
    size: int | None, validator: str | None, sha256: str | None, resumable: bool
) -> None:
    assert Identity(size, validator, sha256).resumable is resumable
