"""Settings of Dask for a farm: its configuration, TLS, and which addresses a farm may listen at."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..common.errors import UiapiError

if TYPE_CHECKING:
    from distributed import Security

PORT, DASHBOARD_PORT = 8786, 8787
# The resource of a Dask worker that is one ComfyUI, which runs one prompt at a time.
RESOURCE = "comfyui"
LOOPBACK = "127.0.0.1"
MISSING = 'A farm needs Dask: pip install "comfyui-uiapi[farm]".'
# How each role gives the files of TLS.
GIVE_FILES = {
    "client": "name the files in DASK_DISTRIBUTED__COMM__TLS__CA_FILE, DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and "
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
    "worker": "give --tls-ca-file, --tls-cert and --tls-key",
}
# What Dask measures many times a second, for each worker, costs more than waiting for a ComfyUI.
CONFIG: dict[str, Any] = {
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.profile.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.scheduler.active-memory-manager.start": False,
    # A worker counts as failed whenever its connection breaks, which is not the fault of the prompt.
    "distributed.scheduler.allowed-failures": 10,
    # A person's own settings of these would end the farm, or lose prompts.
    "distributed.scheduler.idle-timeout": None,
    "distributed.scheduler.no-workers-timeout": None,
    "distributed.worker.lifetime.duration": None,
}


@dataclass(frozen=True)
class Tls:
    """The files of TLS, in PEM format: the authority that signed all certificates of the farm, and one's own."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def __bool__(self) -> bool:
        return any((self.ca, self.cert, self.key))

    def security(self) -> Security:
        """Returns Dask's form of it; without files, what Dask's own configuration says.

        Raises UiapiError `invalid` if some files are missing.
        """
        from distributed import Security

        if not self:
            return Security()
        for option, path in (("--tls-ca-file", self.ca), ("--tls-cert", self.cert), ("--tls-key", self.key)):
            if path is None:
                raise UiapiError("invalid", f"TLS needs --tls-ca-file, --tls-cert and --tls-key; {option} is missing.")
            if not path.is_file():
                raise UiapiError("invalid", f"{path} does not exist; give the PEM file of {option}.")
        roles: Mapping[str, Any] = {
            f"tls_{role}_{name}": str(path)
            for role in ("scheduler", "worker", "client")
            for name, path in (("cert", self.cert), ("key", self.key))
        }
        return Security(require_encryption=True, tls_ca_file=str(self.ca), **roles)


def check_installed() -> None:
    """Raises UiapiError `invalid` without Dask."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise UiapiError("invalid", MISSING) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Lets Dask log errors only in this block; by default it logs every connection."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def is_encrypted(security: Security) -> bool:
    """Returns whether connections of this kind use TLS."""
    return bool(security.tls_ca_file)


def is_address(farm: str) -> bool:
    """Returns whether it is the address of a running farm, such as tcp://host:8786, and not a ComfyUI's URL."""
    return farm.startswith(("tcp://", "tls://"))


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def host_of(address: str) -> str:
    """Returns the host of an address. Raises UiapiError `invalid`."""
    try:
        parts = urlsplit(address)
        # Reading an invalid port raises ValueError.
        good = parts.scheme in ("tcp", "tls") and parts.hostname and parts.port
    except ValueError:
        good = None
    if not good or not parts.hostname:
        raise UiapiError("invalid", f"{address} is not the address of a farm; use one such as tcp://127.0.0.1:{PORT}.")
    return parts.hostname


def reason_of(error: BaseException) -> str:
    """Returns why something of Dask failed, which often only the cause of its exception says."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def check_certificates(address: str, security: Security, role: str) -> None:
    """Raises UiapiError for an address that the certificates of a "client" or a "worker" do not fit."""
    try:
        has_certificate = security.get_connection_args(role)["ssl_context"] is not None
    except OSError as error:
        message = f"The files of TLS cannot be used ({reason_of(error)}); give an authority, a certificate and its key."
        raise UiapiError("invalid", message) from None
    if address.startswith("tls://") and not has_certificate:
        message = f"{address} admits only programs with a certificate of its authority; {GIVE_FILES[role]}."
        raise UiapiError("forbidden", message, status=403)
    if address.startswith("tcp://") and security.require_encryption:
        raise UiapiError("invalid", f"{address} is not encrypted; leave the certificates out, or use a tls:// address.")


def check_exposure(host: str, security: Security, insecure: bool) -> None:
    """Raises UiapiError `forbidden` for a farm that others reach without TLS, unless that is wanted.

    Dask executes code from anyone who can connect, so an open port opens the whole machine.
    """
    if not insecure and not is_loopback(host) and not is_encrypted(security):
        raise UiapiError(
            "forbidden",
            f"Anyone who can reach a farm can run code on its machines, and {host} is not this machine alone. Use TLS "
            "(--tls-ca-file, --tls-cert, --tls-key), an SSH tunnel, or --insecure in a network that you trust.",
            status=403,
        )
