"""The models of this machine's processors, and the folder that keeps what was measured on it.

The nominal time of a reference workload is the unit of the latencies that were measured beside it. A lower one takes
the place of a higher one, since others only ever add to a time; what was measured with the higher one is rescaled.

The folder is ``EVO_MOO_CACHE_DIR``, else ``evo-moo`` in the user's cache folder. Hosts that share it may write at the
same time.
"""

import contextlib
import hashlib
import json
import math
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from evo_moo.files import write_whole

_CPU_INFO = Path("/proc/cpuinfo")
GPU_FOLDER = Path("/proc/driver/nvidia/gpus")
_SAME_SHARE = 0.02  # a nominal time is not lowered by less: each time rescales what was measured
_nominal_ms: dict[Path, float] = {}  # of this process, where nothing can be written or the machine is not quiet
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


def nominal_ms_of(reference: str) -> float | None:
    """Return the nominal time of a reference workload in milliseconds, the lowest that is known; None without one."""
    path = _nominal_file(reference)
    return min((ms for ms in (_kept_ms(path), _nominal_ms.get(path)) if ms is not None), default=None)


def note_nominal_ms(reference: str, time_ms: float, *, keep: bool) -> float:
    """Note a time of a reference workload, and return the nominal time that follows.

    Args:
        reference: The workload.
        time_ms: How long it took.
        keep: Whether the machine was quiet, so that other processes may rely on it.
    """
    before, path = nominal_ms_of(reference), _nominal_file(reference)
    _nominal_ms[path] = lowest = time_ms if before is None or time_ms < before * (1 - _SAME_SHARE) else before
    kept = _kept_ms(path)
    if keep and (kept is None or lowest < kept):
        with contextlib.suppress(OSError):
            write_json(path, {"workload": reference, "nominal_ms": lowest})
    return lowest


def _kept_ms(path: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kept = float(json.loads(path.read_text(encoding="utf-8"))["nominal_ms"])
        return kept if 0 < kept < math.inf else None
    return None


def _nominal_file(reference: str) -> Path:
    return cache_folder() / f"reference-{hashlib.blake2b(reference.encode(), digest_size=6).hexdigest()}.json"


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON file whole, and the folder that it lies in if that is not there.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(record, indent=1))


def _fields(text: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
