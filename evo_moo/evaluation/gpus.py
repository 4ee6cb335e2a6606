"""The GPUs that this process may use: found without CUDA, so that a head that only plans never touches a device.

``nvidia-smi`` names them, MIG devices included; where it is missing, PyTorch in a process of its own. What
``CUDA_VISIBLE_DEVICES`` holds already, as SLURM sets it, is the whole of what is there, in its order.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

VISIBLE = "CUDA_VISIBLE_DEVICES"
PINNED = "EVO_MOO_GPU"
"""In the environment of a worker that has a GPU: the key of that."""
SEARCH_S = 60
_LINE = re.compile(
    r"^(?:GPU (?P<number>\d+)|\s+MIG (?P<part>[^:]+?) +Device +\d+): *(?P<model>.*?) *\(UUID: (?P<uuid>[^)]+)\)",
    re.MULTILINE,
)
_OF_TORCH = "import torch\nfor i in range(torch.cuda.device_count()): print(torch.cuda.get_device_name(i))"


class Gpu(NamedTuple):
    """One GPU, or one MIG device.

    Attributes:
        token: How ``CUDA_VISIBLE_DEVICES`` names it.
        key: Its name on this host, the same in every process; its UUID where that is known.
        model: Name of its model; empty if unknown.
    """

    token: str
    key: str
    model: str = ""


def visible_gpus() -> list[Gpu]:
    """Return the GPUs that this process may use; empty where there are none. The first look may take a second."""
    return list(_found(os.environ.get(VISIBLE), os.environ.get("PATH")))


def chosen_gpus(wanted: str | Sequence[int | str]) -> list[Gpu]:
    """Return the GPUs that are wanted.

    Args:
        wanted: ``"auto"`` for all, or places among the visible ones and UUIDs.

    Raises:
        ValueError: One of them is not there; the text is the rule and the value.
    """
    there = visible_gpus()
    if wanted == "auto":
        return there
    chosen = {each: _chosen(each, there) for each in wanted}
    missing = [each for each, gpu in chosen.items() if gpu is None]
    if missing:
        outside = os.environ.get(VISIBLE)
        known = ", ".join(f"{i} ({gpu.key})" for i, gpu in enumerate(there)) or "none"
        among = "" if outside is None else f" within {VISIBLE}={outside}"
        values = " and ".join(map(repr, missing))
        raise ValueError(f"must name GPUs that this process may use, but names {values}; there are{among}: {known}")
    return list({gpu.key: gpu for gpu in chosen.values() if gpu}.values())


def _chosen(wanted: int | str, there: Sequence[Gpu]) -> Gpu | None:
    if isinstance(wanted, int):
        return there[wanted] if 0 <= wanted < len(there) else None
    return next((gpu for gpu in there if gpu.key.startswith(wanted) or gpu.token == wanted), None) if wanted else None


@functools.cache
def _found(visible: str | None, path: str | None) -> tuple[Gpu, ...]:
    devices = list(_LINE.finditer(_output("nvidia-smi", "-L", path=path)))
    whole = [Gpu(each["uuid"], each["uuid"], each["model"]) for each in devices if each["number"]]
    if visible is not None:
        parts = [Gpu(each["uuid"], each["uuid"]) for each in devices if not each["number"]]
        return tuple(_within(visible, whole, [*whole, *parts]))
    if devices:
        usable: list[Gpu] = []
        for each in devices:
            if not each["number"] and usable and usable[-1].key in {gpu.key for gpu in whole}:
                usable.pop()  # a GPU in parts is used by its parts
            usable.append(Gpu(each["uuid"], each["uuid"], each["model"]))
        return tuple(usable)
    models = _output(sys.executable, "-c", _OF_TORCH, path=path).splitlines() if find_spec("torch") else []
    return tuple(Gpu(str(i), f"gpu-{i}", model) for i, model in enumerate(models))


def _within(visible: str, numbered: Sequence[Gpu], listed: Sequence[Gpu]) -> list[Gpu]:
    """Return the GPUs that ``CUDA_VISIBLE_DEVICES`` names; as for CUDA, the first that is none ends the list."""
    within: list[Gpu] = []
    for token in (text.strip() for text in visible.split(",")):
        known = [gpu for gpu in listed if token and gpu.key.startswith(token)]
        if token.isdecimal():
            known = [*numbered[int(token) : int(token) + 1]]
        is_name = token.isdecimal() or token.startswith(("GPU-", "MIG-"))
        if not is_name or (listed and not known):
            break
        gpu = known[0] if known else Gpu(token, token if not token.isdecimal() else f"gpu-{token}")
        within.append(gpu._replace(token=token))
    return within


def _output(*command: str, path: str | None) -> str:
    """Return what a program prints; nothing where it is missing or fails."""
    program = shutil.which(command[0], path=path)
    if program is None:
        return ""
    try:
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=SEARCH_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
