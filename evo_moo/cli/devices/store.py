"""The folder of devices: one CSV file for each device and problem, ``devices/PROBLEM/DEVICE.csv``."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from evo_moo.errors import UsageError

if TYPE_CHECKING:
    from evo_moo.problem.search_problem import SearchProblem
    from evo_moo.toolkit.devices.device_files import DeviceFile

DEVICES = Path("devices")


def folder_of_problem(reference: str) -> Path:
    """Return the folder of a problem's devices: of its name, whether it is registered or a class of a file."""
    return DEVICES / re.sub(r"[^\w.-]", "_", reference.rpartition(":")[2] or reference)


def file_of(reference: str, device: str) -> Path:
    """Return the file of a device.

    Raises:
        UsageError: The name cannot be a file's.
    """
    if not re.fullmatch(r"\w[\w.-]*", device):
        raise UsageError(f"a device must be named by letters, digits, _, . and -, but is {device!r}")
    return folder_of_problem(reference) / f"{device}.csv"


def known_devices(reference: str) -> list[str]:
    """Return the names of the devices of a problem."""
    return sorted(path.stem for path in folder_of_problem(reference).glob("*.csv") if not path.stem.endswith(TO_FILL))


TO_FILL = ".to_measure"
"""What the name of a table ends with that waits to be filled in."""


def read_device(reference: str, device: str, problem: "SearchProblem") -> "DeviceFile":
    """Read what is known of a device.

    Raises:
        UsageError: There is no such device, or its file is wrong.
    """
    from evo_moo.toolkit.devices.device_files import read_networks

    path = file_of(reference, device)
    if not path.is_file():
        known = ", ".join(known_devices(reference)) or "none"
        name = reference.rpartition(":")[2]
        raise UsageError(
            f"a device must be one of those of `{name}`, {known}, but is {device!r}; "
            f"`evo-moo device add {device} --problem {reference}` adds it"
        )
    return read_networks(path, problem, device)
