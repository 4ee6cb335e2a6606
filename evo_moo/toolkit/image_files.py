"""The files behind a set of images: torchvision's, a NumPy archive, a folder of pictures.

Every reader gives a pair: images ``(n, height, width)`` or ``(n, height, width, channels)``, uint8 or floats in
[0, 1], and labels ``(n,)``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evo_moo.errors import ProblemError
from evo_moo.toolkit.vision import torchvision

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]

OF_TORCHVISION = {
    "mnist": ("MNIST", "MNIST/raw", "t10k-labels-idx1-ubyte"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST/raw", "t10k-labels-idx1-ubyte"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py", "test_batch"),
    "cifar100": ("CIFAR100", "cifar-100-python", "test"),
}
"""Name to torchvision's class, the folder below ``root`` in which it keeps its files, and one that it fetches late."""
_IMAGE_TYPES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".tif", ".tiff", ".webp"))


def find_or_fetch(data: str, root: Path, download: bool) -> None:
    """Check that torchvision's files are there, or have torchvision fetch them.

    Raises:
        ProblemError: They are not there, or cannot be fetched.
    """
    name, folder, late = OF_TORCHVISION[data]
    if (root / folder / late).is_file():
        return
    if not download:
        raise ProblemError(
            f"`data` = {data!r} must lie in {root / folder}, but is not there; set download = true, or root = the "
            f"folder that holds {folder}, or take data = 'digits', which needs no files"
        )
    from filelock import FileLock

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{data}.lock"):
            getattr(torchvision().datasets, name)(root, download=True)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ProblemError(
            f"`data` = {data!r} must be fetched into {root}, but that failed: {type(error).__name__}: {reason}; "
            f"copy {folder} there from elsewhere, or take data = 'digits', which needs no network"
        ) from error


def read_torchvision(data: str, root: str, train: bool) -> Pair:
    """Read the training or the test images of a set of torchvision.

    Raises:
        ProblemError: They cannot be read.
    """
    name, folder, _ = OF_TORCHVISION[data]
    try:
        images = getattr(torchvision().datasets, name)(root, train=train)
    except Exception as error:  # torchvision has no error of its own
        raise ProblemError(
            f"`data` = {data!r} must lie whole in {Path(root, folder)}, but cannot be read: "
            f"{' '.join(str(error).split())}; remove that folder and set download = true"
        ) from error
    return np.asarray(images.data), np.asarray(images.targets)


def read_archive(path: Path) -> list[Pair]:
    """Read an ``.npz`` file's images to train and judge with, and those to test with where it has some.

    Raises:
        ProblemError: It lacks an array, or one is not as it should be.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise ProblemError(f"`data` must be an .npz file, but {path} cannot be read: {error}") from error
    train = ("x_train", "y_train") if "x_train" in arrays else ("x", "y")
    if missing := [name for name in train if name not in arrays]:
        raise ProblemError(
            f"{path} must hold the arrays x_train and y_train, or x and y, but lacks {', '.join(missing)}; it holds "
            f"{', '.join(arrays) or 'nothing'}"
        )
    pairs = [_checked(path, *names, arrays) for names in (train, ("x_test", "y_test")) if set(names) <= set(arrays)]
    if len(pairs) == 2 and pairs[0][0].shape[1:] != pairs[1][0].shape[1:]:
        shapes = " and ".join(str(pair[0].shape[1:]) for pair in pairs)
        raise ProblemError(f"{path} must hold images of one size, but those to train and to test are {shapes}")
    return pairs


def _checked(path: Path, x: str, y: str, arrays: dict[str, Array]) -> Pair:
    X, labels = arrays[x], arrays[y]
    if X.ndim not in (3, 4) or (X.ndim == 4 and X.shape[3] not in (1, 3)) or not X.size:
        raise ProblemError(
            f"`{x}` in {path} must be images (n, height, width) or (n, height, width, 1 or 3), but its shape is "
            f"{X.shape}"
        )
    if labels.shape != (len(X),):
        raise ProblemError(
            f"`{y}` in {path} must have one label per image, ({len(X)},), but its shape is {labels.shape}"
        )
    if labels.dtype.kind not in "iuU":
        raise ProblemError(f"`{y}` in {path} must be integers or texts, but its type is {labels.dtype}")
    if X.dtype != np.uint8 and not (X.dtype.kind == "f" and np.all((X >= 0) & (X <= 1))):
        raise ProblemError(f"`{x}` in {path} must be uint8, or floats from 0 to 1, but is {X.dtype} with other values")
    return X, labels


def parts_of(path: Path) -> list[Path]:
    """Return the folder to train with and perhaps that to test with."""
    parts = [path / "train", path / "test"]
    return [part for part in parts if part.is_dir()] if parts[0].is_dir() else [path]


def image_files(folder: Path) -> Iterator[Path]:
    """Return the pictures two levels below a folder, in one order everywhere."""
    yield from sorted(file for file in folder.glob("*/*") if file.suffix.lower() in _IMAGE_TYPES)


def read_folder(folder: Path, size: int) -> Pair:
    """Read pictures, each scaled to ``(size, size, 3)`` and labelled by the name of its folder.

    Raises:
        ProblemError: One cannot be read.
    """
    from PIL import Image

    X, y = [], []
    for file in image_files(folder):
        try:
            with Image.open(file) as image:
                X.append(np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)))
        except OSError as error:
            raise ProblemError(f"{file} must be an image, but cannot be read as one: {error}; remove it") from error
        y.append(file.parent.name)
    return np.stack(X), np.array(y)
