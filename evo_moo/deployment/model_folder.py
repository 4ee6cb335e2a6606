"""The folder of a trained model, which stands alone: its files, and the list of them that tells whether one changed.

``card.json`` is the card; ``manifest.json`` lists every other file with its size and SHA-256. To read a folder, also a
stranger's, runs no code of it: JSON, and arrays without pickles.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from evo_moo.deployment.card import ModelCard
from evo_moo.errors import ModelFolderError
from evo_moo.files import write_whole

CARD, MANIFEST = "card.json", "manifest.json"
ONNX, TORCH, WEIGHTS = "model.onnx", "model.pt2", "weights.safetensors"
ESTIMATOR, PREPROCESSING = "estimator.skops", "preprocessing.skops"
EXAMPLES = "examples.npz"
ENVIRONMENT, PAGES = "environment.json", ("card.md", "card.html")
OWN_FILES = {CARD, MANIFEST, TORCH, WEIGHTS, ESTIMATOR, PREPROCESSING, EXAMPLES, ENVIRONMENT, *PAGES}
"""Names that nothing else in a folder may have; a model's own file may be ``model.onnx``."""
Array = npt.NDArray[Any]
_WAY_OUT = "build it again, or copy it again from where it was whole"


@dataclass(frozen=True)
class ModelFolder:
    """A folder whose files are those that were written.

    Attributes:
        path: The folder.
        card: The card.
        files: Names of all files but the manifest.
    """

    path: Path
    card: ModelCard
    files: tuple[str, ...]

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a folder and check each of its files.

        Raises:
            ModelFolderError: It is no folder of a model, or files are missing, truncated, changed, swapped or foreign;
                each is named.
        """
        path = Path(path)
        listed = _listed(path)
        if faults := _faults(path, listed):
            raise ModelFolderError("\n".join(f"{fault}; {_WAY_OUT}" for fault in faults))
        return cls(path, ModelCard.of_json((path / CARD).read_bytes(), str(path / CARD)), tuple(listed))

    def has(self, name: str) -> bool:
        """Whether it has a file of this name."""
        return name in self.files

    def examples(self) -> tuple[Array, Array]:
        """Return some inputs, and what the model gave of them when it was built.

        Raises:
            ModelFolderError: They are damaged.
        """
        arrays = read_arrays(self.path / EXAMPLES)
        if not {"inputs", "outputs"} <= arrays.keys():
            raise ModelFolderError(f"`{self.path / EXAMPLES}` must hold inputs and outputs, but has {sorted(arrays)}")
        return arrays["inputs"], arrays["outputs"]


def read_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays of an ``.npz`` file, which may come from anybody.

    Raises:
        ModelFolderError: It cannot be read, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # NumPy and zipfile raise errors of every kind on damaged files
        raise ModelFolderError(f"`{path}` must be an .npz file of plain arrays, but cannot be read: {error}") from error


def write_manifest(path: Path) -> None:
    """List every file of a folder that is complete.

    Raises:
        OSError: It cannot be written.
    """
    files = sorted(each for each in path.iterdir() if each.name != MANIFEST)
    table = {each.name: {"size": each.stat().st_size, "sha256": _digest(each)} for each in files}
    write_whole(path / MANIFEST, json.dumps({"format": 1, "files": table}, indent=1))


def _listed(path: Path) -> dict[str, tuple[int, str]]:
    """Read the manifest: names to sizes and digests."""
    rule = f"`{path}` must be the folder of a model, as `evo-moo build` writes it, but"
    if not (path / MANIFEST).is_file():
        raise ModelFolderError(f"{rule} has no {MANIFEST}")
    try:
        table = json.loads((path / MANIFEST).read_bytes())
        listed = {str(name): (int(entry["size"]), str(entry["sha256"])) for name, entry in table["files"].items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ModelFolderError(f"{rule} its {MANIFEST} is damaged ({type(error).__name__}); {_WAY_OUT}") from None
    if CARD not in listed:
        raise ModelFolderError(f"{rule} its {MANIFEST} lists no {CARD}; {_WAY_OUT}")
    if odd := [name for name in listed if Path(name).name != name or name in ("", ".", "..")]:
        raise ModelFolderError(f"{rule} its {MANIFEST} names files elsewhere: {', '.join(map(repr, odd))}; {_WAY_OUT}")
    return listed


def _faults(path: Path, listed: dict[str, tuple[int, str]]) -> list[str]:
    faults = []
    for name, (size, digest) in listed.items():
        file = path / name
        if file.is_symlink() or not file.is_file():
            faults.append(
                f"`{file}` must be a file of the folder, but is {'a link' if file.is_symlink() else 'missing'}"
            )
        elif (found := file.stat().st_size) != size:
            faults.append(f"`{file}` must have {size:,} bytes, but has {found:,}")
        elif _digest(file) != digest:
            faults.append(f"`{file}` must be what was built, but its content has changed")
    foreign = sorted({each.name for each in path.iterdir()} - {*listed, MANIFEST})
    return [*faults, *(f"`{path / name}` must be listed in {MANIFEST}, but is not" for name in foreign)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
