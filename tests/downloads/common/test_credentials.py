"""Tokens for downloads: sent only to their host, and never returned, logged or saved."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comfyui_uiapi.downloads.common.credentials import redact
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.downloads.jobs.source_choice import cleaned_entry
from comfyui_uiapi.downloads.storage import url_map
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host
from comfyui_uiapi.tests.harness.models.model_sites import workflow


@pytest.fixture
def settings(host: Host, other_host: Host) -> Settings:
    return Settings(allowed_hosts=(other_host.authority,), civitai_endpoint=host.url(""), hf_endpoint=host.url(""))


async def test_no_token_is_in_any_url_log_line_status_error_or_file(
    service: Service,
    host: Host,
    other_host: Host,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secrets = ("hf-sesame-open", "civitai-sesame", "pasted-sesame", "signed-sesame")
    monkeypatch.setenv("HF_TOKEN", secrets[0])
    monkeypatch.setenv("CIVITAI_API_TOKEN", secrets[1])
    caplog.set_level(0)
    other_host.redirect("/pasted", other_host.url("/bucket?X-Amz-Signature=signed-sesame"))
    other_host.offer("/bucket", b'{"message": "bad token pasted-sesame"}', status=403, content_type="application/json")
    host.offer("/org/repo/resolve/main/x.safetensors", status=403, headers={"X-Error-Code": "GatedRepo"})
    run = await service.downloads.begin(
        workflow(*((f"{name}.safetensors", "checkpoints", None) for name in "abc")),
        {
            "a.safetensors": other_host.url("/pasted?token=pasted-sesame"),
            "b.safetensors": {"huggingface": "org/repo/x.safetensors"},
            "c.safetensors": {"civitai": "https://civitai.com/models/1?modelVersionId=2&token=pasted-sesame"},
        },
    )
    status = await service.ended(run)
    assert {entry["status"] for entry in status["progress"].values()} == {"error"}
    await service.downloads.save_urls({"a.safetensors": other_host.url("/pasted?token=pasted-sesame")})
    pasted = {"civitai": "https://civitai.com/models/1?modelVersionId=2&token=pasted-sesame", "ckpt_type": "vae"}
    await service.downloads.save_urls({"b.safetensors": pasted})
    assert {*(await url_map.load_stored_urlmap())["b.safetensors"]} == {*pasted}
    assert any(seen.headers.get("authorization") == "Bearer pasted-sesame" for seen in other_host.seen)
    kept = [path.read_text() for path in service.state.iterdir()]
    reported = [json.dumps(service.events, default=str), json.dumps(status), caplog.text, *kept]
    paths = [seen.path for seen in (*host.seen, *other_host.seen) if not seen.path.startswith("/bucket")]
    for secret in secrets:
        assert not [text for text in [*reported, *paths] if secret in text]


SIGNED = "https://huggingface.co/a/b/resolve/main/x.safetensors"


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=sesame&X-Amz-Credential=sesame&download=true",
        "hf_token=sesame&download=true",
        "key=sesame&download=true",
        "sig=sesame&download=true",
        "Signature=sesame&Key-Pair-Id=sesame&Policy=sesame&download=true",
        "download=true#access_token=sesame",
    ],
)
async def test_a_secret_in_a_url_is_neither_saved_nor_returned(service: Service, query: str) -> None:
    entries: dict[str, Any] = {"a.safetensors": f"{SIGNED}?{query}", "b.safetensors": {"url": f"{SIGNED}?{query}"}}
    await service.downloads.save_urls(entries)
    saved = await url_map.load_stored_urlmap()
    assert saved == {"a.safetensors": f"{SIGNED}?download=true", "b.safetensors": {"url": f"{SIGNED}?download=true"}}
    # What an earlier version saved is not answered either.
    assert {name: cleaned_entry(entry) for name, entry in entries.items()} == saved


def test_a_long_text_of_urls_is_looked_through_once() -> None:
    said = redact(f"{'http://a/' * 100_000} http://b/?token=abc123")
    assert said.endswith("http://b/") and "abc123" not in said
