"""Where redirects may lead, and which hosts receive a token."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_uiapi.downloads.common.settings import Settings
from comfyui_uiapi.tests.downloads.conftest import Service
from comfyui_uiapi.tests.harness.models.model_host import Host, model_bytes

SMALL = 200_000


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/x.safetensors",
        "https://169.254.169.254/x.safetensors",
        "http://127.0.0.1:1/x.safetensors",
        "https://[::1]/x.safetensors",
        "https://elsewhere.example/x.safetensors",
        "http://huggingface.co/x.safetensors",
        "https://user:secret@huggingface.co/x.safetensors",
        "file:///etc/passwd",
    ],
)
async def test_a_redirect_to_where_downloads_may_not_go_is_refused(service: Service, host: Host, location: str) -> None:
    host.redirect("/x.safetensors", location)
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert entry["status"] == "error" and entry["code"] in ("host_refused", "invalid")
    assert "secret" not in entry["error"]
    assert len(host.seen) == 1
    assert service.folders.files() == ["user/__uiapi/downloads.json"]


async def test_a_redirect_to_another_port_of_loopback_is_refused_and_gets_no_token(
    service: Service, host: Host, other_host: Host
) -> None:
    other_host.offer("/x.safetensors", model_bytes(SMALL))
    host.redirect("/x.safetensors", other_host.url("/x.safetensors"))
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors?token=sesame-open"))
    assert (entry["status"], entry["code"]) == ("error", "host_refused")
    assert other_host.seen == []
    assert host.seen[0].headers["authorization"] == "Bearer sesame-open"


class TestTwoNamedHosts:
    @pytest.fixture
    def settings(self, host: Host, other_host: Host) -> Settings:
        return Settings(allowed_hosts=(host.authority, other_host.authority))

    async def test_a_token_does_not_follow_a_redirect_to_another_host(
        self, service: Service, host: Host, other_host: Host
    ) -> None:
        data = model_bytes(SMALL)
        other_host.offer("/x.safetensors", data)
        host.redirect("/x.safetensors", other_host.url("/x.safetensors"), 307)
        entry = await service.fetch("x.safetensors", host.url("/x.safetensors?token=sesame-open"))
        assert entry["status"] == "success", entry
        assert host.seen[0].headers["authorization"] == "Bearer sesame-open"
        assert all("authorization" not in seen.headers for seen in other_host.seen)
        assert "token" not in host.seen[0].path


async def test_redirects_without_end_are_given_up(service: Service, host: Host) -> None:
    host.redirect("/x.safetensors", "/x.safetensors")
    entry = await service.fetch("x.safetensors", host.url("/x.safetensors"))
    assert (entry["status"], entry["code"]) == ("error", "source_failed")
    assert len(host.seen) < 12


def test_downloads_can_be_imported_without_comfyui(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('u', {str(root / '__init__.py')!r},"
        f" submodule_search_locations=[{str(root)!r}])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['u'] = module\n"
        "spec.loader.exec_module(module)\n"
        "import u.downloads.api.service, u.downloads.api.commands, u.model_defs\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr.decode()
