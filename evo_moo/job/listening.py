"""Where a run listens for workers: the address, and what must go with it."""

import ipaddress
import re
import socket
from typing import NamedTuple

from evo_moo.errors import UsageError

_ADDRESS = re.compile(r"(?:(?:tcp|tls)://)?(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]*)(?::(?P<port>\d{1,5}))?")
WITHOUT_KEYS = "`evo-moo work --new-keys DIR` makes keys, which both sides get by --keys DIR"


class Address(NamedTuple):
    """A host, by name or number, and a port; 0 is any that is free."""

    host: str
    port: int

    @classmethod
    def read(cls, text: str, key: str) -> "Address":
        """Read ``tcp://host:port``; by default the host is this one's loopback, and the port any.

        Args:
            text: The address.
            key: Its name in messages.

        Raises:
            UsageError: It is none.
        """
        match = _ADDRESS.fullmatch(text.strip())
        if not text.strip() or match is None or int(match["port"] or 0) > 65535:
            raise UsageError(
                f"`{key}` must be an address, as in tcp://127.0.0.1:0 or tcp://0.0.0.0:8786, but is {text!r}"
            )
        return cls(match["host"].strip("[]") or "127.0.0.1", int(match["port"] or 0))

    @property
    def is_loopback(self) -> bool:
        """Whether only this host reaches it; a name that cannot be resolved counts as another host."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            pass
        try:
            found = socket.getaddrinfo(self.host, None)
        except OSError:
            return False
        return all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)

    def __str__(self) -> str:
        return f"tcp://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def is_address(text: str) -> bool:
    """Return whether a text is meant as an address, and not as a folder."""
    return "://" in text or re.fullmatch(r"(\[.*\]|[\w.-]+):\d+", text) is not None


def listen_faults(listen: str | None, keys: str | None, pool: str, address: str | None) -> list[str]:
    """Return every fault of where a run is to listen; arguments as in the section ``evaluation`` of a job."""
    if listen is None:
        return []
    faults = []
    if pool not in ("auto", "dask"):
        faults.append(f"`evaluation.listen` must go with pool = 'dask' or 'auto', but pool is {pool!r}")
    if address is not None:
        faults.append(f"`evaluation.listen` must go without the address of another scheduler, but that is {address!r}")
    try:
        place = Address.read(listen, "evaluation.listen")
    except UsageError as error:
        return [*faults, *error.faults]
    if keys is None and not place.is_loopback:
        faults.append(
            f"`evaluation.listen` must be a loopback address where there are no keys, but is {listen!r}; {WITHOUT_KEYS}"
        )
    return faults
