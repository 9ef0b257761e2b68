"""Which farms may be reached by others, and how TLS is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_uiapi.client.common.errors import UiapiError
from comfyui_uiapi.client.farm.settings import Tls, check_exposure, host_of, is_address, is_loopback
from distributed import Security


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """Files of TLS, whose content does not matter here."""
    files = [tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")]
    for file in files:
        file.write_text("")
    return Tls(*files)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "gpu1", "::", ""])  # noqa: S104 - not bound
def test_a_farm_that_others_reach_needs_tls_or_the_explicit_wish(host: str, tls: Tls) -> None:
    with pytest.raises(UiapiError, match="Anyone who can reach a farm can run code on its machines") as caught:
        check_exposure(host, Security(), False)
    assert caught.value.code == "forbidden"
    check_exposure(host, Security(), True)
    check_exposure(host, tls.security(), False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_farm_of_this_machine_needs_no_tls(host: str) -> None:
    check_exposure(host, Security(), False)
    assert is_loopback(host)


def test_every_role_of_dask_has_the_certificate(tls: Tls) -> None:
    security = tls.security()
    assert security.require_encryption and security.tls_ca_file == str(tls.ca)
    for role in ("scheduler", "worker", "client"):
        assert security.get_tls_config_for_role(role)["cert"] == str(tls.cert)


def test_incomplete_tls_names_what_is_missing(tls: Tls, tmp_path: Path) -> None:
    with pytest.raises(UiapiError, match="--tls-cert is missing"):
        Tls(ca=tls.ca).security()
    with pytest.raises(UiapiError, match=r"gone\.pem does not exist"):
        Tls(tls.ca, tls.cert, tmp_path / "gone.pem").security()


@pytest.mark.parametrize(("address", "host"), [("tcp://gpu1:8786", "gpu1"), ("tls://[::1]:8786", "::1")])
def test_the_address_of_a_farm_names_its_host(address: str, host: str) -> None:
    assert is_address(address) and host_of(address) == host


@pytest.mark.parametrize("address", ["http://gpu1:8188", "tcp://gpu1", "tcp://gpu1:x", "gpu1:8786", "tcp://"])
def test_other_texts_are_no_address_of_a_farm(address: str) -> None:
    with pytest.raises(UiapiError, match="use one such as tcp://127"):
        host_of(address)
