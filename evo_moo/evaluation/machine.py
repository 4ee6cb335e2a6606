"""The models of this machine's processors, and the folder that keeps what was measured on it.

The folder is ``EVO_MOO_CACHE_DIR``, else ``evo-moo`` in the user's cache folder. Hosts that share it may write at the
same time.
"""

import contextlib
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from evo_moo.files import write_whole

_CPU_INFO = Path("/proc/cpuinfo")
GPU_FOLDER = Path("/proc/driver/nvidia/gpus")
_CPU_FIELDS = ("model name", "cpu family", "model", "stepping", "CPU implementer", "CPU part")


def cache_folder() -> Path:
    """Return the folder, which may not exist yet."""
    if chosen := os.environ.get("EVO_MOO_CACHE_DIR"):
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "evo-moo")
    except RuntimeError:  # a container's user may have no home
        return Path(tempfile.gettempdir(), f"evo-moo-{os.getuid()}")


def cpu_model() -> str:
    """Name the CPU's model, so that hosts of one model have one name."""
    with contextlib.suppress(OSError):
        fields = _fields(_CPU_INFO.read_text(encoding="utf-8").partition("\n\n")[0])
        return ", ".join(f"{key} {fields[key]}" for key in _CPU_FIELDS if key in fields)
    return f"{platform.machine()} {platform.processor()}"


def gpu_models() -> list[str]:
    """Name the models of the NVIDIA GPUs of this host; empty where there are none."""
    with contextlib.suppress(OSError):
        return sorted(_fields(path.read_text())["Model"] for path in GPU_FOLDER.glob("*/information"))
    return []


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON file whole, and the folder that it lies in if that is not there.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(record, indent=1))


def _fields(text: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
