"""A farm over TLS, by the documented commands."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.client.farm.cluster import scheduler_at
from comfyui_uiapi.client.farm.link import Link
from comfyui_uiapi.client.farm.processes import Place, join
from comfyui_uiapi.client.farm.settings import Tls
from comfyui_uiapi.client.protocol.address import Address
from comfyui_uiapi.tests.harness.documents import DOCS
from comfyui_uiapi.tests.harness.fakes.scripted_comfyui import Scripted
from comfyui_uiapi.tests.harness.fakes.standin_comfyui import StandIn
from comfyui_uiapi.tests.harness.programs import farms
from distributed import Security

StandIns = Callable[..., Awaitable[list[StandIn]]]

LINES = DOCS["farm"].text.partition("### TLS")[2].partition("\n## ")[0].splitlines()
OPENSSL = [line for line in LINES if line.startswith("openssl ")]
START, JOIN, SWEEP = (
    next(line for line in LINES if line.startswith(f"uiapi {words}")) for words in ("farm start", "farm join", "sweep")
)
ENVIRONMENT = dict(line.removeprefix("export ").split("=") for line in LINES if line.startswith("export "))
HERE = "127.0.0.1"
NO_CERTIFICATE = (
    r"admits only programs with a certificate of its authority; name the files in DASK_DISTRIBUTED__COMM__TLS"
)
NO_MEMBER = r"with certificates of one authority everywhere\. \(.*"


def made(folder: Path, *names: str) -> Path:
    """Makes an authority and certificates by the documented commands."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    authority, certificate = OPENSSL
    for line in (authority, *(certificate.replace("gpu1", name) for name in names)):
        subprocess.run(shlex.split(line), cwd=folder, check=True, capture_output=True, timeout=120)  # noqa: S603 - ours
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and the certificates of two machines."""
    return made(tmp_path_factory.mktemp("tls"), "gpu1", "gpu2")


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with another authority, and a certificate of that."""
    return made(tmp_path_factory.mktemp("strange"), "gpu1")


def tls(authority: Path, certificate: Path) -> Tls:
    return Tls(authority / "ca.pem", certificate / "gpu1.pem", certificate / "gpu1.key")


@asynccontextmanager
async def encrypted(files: Path) -> AsyncIterator[str]:
    """Yields the address of a scheduler."""
    async with scheduler_at(port=0, security=tls(files, files).security()) as scheduler:
        assert scheduler.address.startswith("tls://")
        yield scheduler.address


def placed(line: str, folder: Path, **texts: str) -> list[str]:
    """Returns the words of a documented line after `uiapi`, with files of a folder and other texts of this test."""
    line = re.sub(r"[\w-]+\.(pem|key)\b", lambda found: str(folder / found[0]), line)
    for old, new in texts.items():
        line = line.replace({"host": "192.168.1.4", "port": "8786", "comfyui": "http://127.0.0.1:8188"}[old], new)
    return shlex.split(line)[1:]


async def test_a_farm_starts_is_joined_and_sweeps_over_tls_as_documented(
    standins: StandIns, opened: Scripted, files: Path, tmp_path: Path
) -> None:
    farm = await standins(2)
    start = placed(START, files, host=HERE, comfyui=farm[0].url)[2:]
    async with farms.started(tmp_path, "--port", "0", "--dashboard-port", "0", *start) as found:
        port = found["address"].rpartition(":")[2]
        assert found["address"] == f"tls://{HERE}:{port}"
        joining = placed(JOIN, files, host=HERE, port=port, comfyui=farm[1].url)
        async with farms.run(tmp_path, joining):
            await farms.until(lambda: all(one.sockets for one in farm))
            environment = {name: str(files / value) for name, value in ENVIRONMENT.items()}
            words = placed(SWEEP.replace("Canvas.color", "Canvas.value"), files, host=HERE, port=port)
            async with farms.run(tmp_path, [*words, "-o", "out"], opened.url, environment) as sweeping:
                assert await asyncio.wait_for(sweeping.wait(), farms.TIMEOUT) == 0
    assert sorted(value for one in farm for value in one.values) == [255, 65280]
    assert len([*(tmp_path / "out").glob("*.png")]) == 2


@pytest.mark.parametrize(
    ("authority", "certificate", "says"),
    [
        (
            None,
            None,
            NO_CERTIFICATE,
        ),
        (
            "files",
            None,
            NO_CERTIFICATE,
        ),
        ("files", "strange", NO_MEMBER),
        ("strange", "strange", NO_MEMBER),
    ],
)
async def test_a_program_without_a_certificate_of_the_authority_is_refused_with_one_sentence(
    request: pytest.FixtureRequest, files: Path, authority: str | None, certificate: str | None, says: str
) -> None:
    security = Security()
    if authority is not None:
        security = Security(tls_ca_file=str(request.getfixturevalue(authority) / "ca.pem"))
        if certificate is not None:
            security = tls(request.getfixturevalue(authority), request.getfixturevalue(certificate)).security()
    async with encrypted(files) as address:
        with pytest.raises(UiapiError, match=says) as caught:
            async with Link(address, security):
                pytest.fail("It was let in.")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("has_one", [False, True])
async def test_a_worker_without_a_certificate_of_the_authority_cannot_join(
    standins: StandIns, files: Path, strange: Path, has_one: bool
) -> None:
    [comfyui] = await standins(1)
    place = Place(tls=tls(files, strange) if has_one else Tls())
    says = "cannot be joined: .*; start it with uiapi farm start" if has_one else "; give --tls-ca-file, --tls-cert and"
    async with encrypted(files) as address:
        with pytest.raises(UiapiError, match=says):
            await join(address, Address.of(comfyui.url, None), place, lambda: None, lambda note: None)


async def test_an_address_and_certificates_that_do_not_fit_are_named(files: Path, tmp_path: Path) -> None:
    with pytest.raises(UiapiError, match="is not encrypted; leave the certificates out, or use a tls:// address"):
        async with Link("tcp://127.0.0.1:1", tls(files, files).security()):
            pytest.fail("It was used.")
    for name in ("ca.pem", "gpu1.pem", "gpu1.key"):
        (tmp_path / name).write_text("no certificate")
    with pytest.raises(UiapiError, match="The files of TLS cannot be used"):
        async with Link("tls://127.0.0.1:1", tls(tmp_path, tmp_path).security()):
            pytest.fail("It was used.")
