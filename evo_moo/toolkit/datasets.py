"""Sets of labelled images: found when a problem is built, split once and for all, held once per process as tensors.

``digits`` comes with scikit-learn. The others are read from files: torchvision's sets, a NumPy archive, or a folder
with one folder of images per class.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evo_moo.errors import ProblemError
from evo_moo.evaluation.machine import cache_folder
from evo_moo.toolkit.image_files import (
    OF_TORCHVISION,
    Pair,
    find_or_fetch,
    image_files,
    parts_of,
    read_archive,
    read_folder,
    read_torchvision,
)

if TYPE_CHECKING:
    import torch

    Part = tuple[torch.Tensor, torch.Tensor]

Array = npt.NDArray[Any]

NAMES = ("digits", *OF_TORCHVISION)
_FEWEST_PER_CLASS = 5  # so that each part has one of every class


@dataclass(frozen=True)
class Images:
    """Three parts of a set of images, each with all classes in their shares; no image is in two of them.

    Attributes:
        train: Images ``(n, channels, height, width)`` in [0, 1] as float32, and labels ``(n,)`` from 0.
        validation: What a search judges by.
        test: What only a report may use; of the set's own test images, where it has some.
        n_classes: Number of classes.
        mean: Mean of the training images by channel, ``(channels,)``.
        std: Standard deviation by channel, ``(channels,)``.
    """

    train: "Part"
    validation: "Part"
    test: "Part"
    n_classes: int
    mean: "torch.Tensor"
    std: "torch.Tensor"

    @property
    def parts(self) -> dict[str, "Part"]:
        """The three parts by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width of an image."""
        return tuple(self.train[0].shape[1:])


@dataclass(frozen=True)
class ImageSet:
    """Where the images are; ``find_images`` makes one.

    Attributes:
        data: One of ``NAMES``, or the absolute path of an archive or a folder.
        root: Folder of torchvision's files.
        n_images: At most so many images, over all parts; None for all.
        image_size: Height and width to which the images of a folder are scaled.
    """

    data: str
    root: str
    n_images: int | None
    image_size: int

    @property
    def version(self) -> str:
        """Changes with the files behind a path: for a problem's attribute ``version``."""
        if self.data in NAMES:
            return ""
        files = [Path(self.data), *(file for part in parts_of(Path(self.data)) for file in image_files(part))]
        stats = [file.stat() for file in files]
        return f"{len(files)} {sum(s.st_size for s in stats)} {max(s.st_mtime_ns for s in stats)}"

    def load(self, device: str = "cpu") -> Images:
        """Read and split the images; within one process this happens once.

        Raises:
            ProblemError: The files are not what they should be.
        """
        return _load(self, device)


def find_images(
    data: str = "digits",
    *,
    root: str | None = None,
    download: bool = False,
    n_images: int | None = None,
    image_size: int = 32,
) -> ImageSet:
    """Check that a set of images is there before anything is searched; fetch it where that is asked for.

    Args:
        data: ``"digits"``, ``"mnist"``, ``"fashion_mnist"``, ``"cifar10"``, ``"cifar100"``; the path of an ``.npz``
            with ``x_train``, ``y_train`` and perhaps ``x_test``, ``y_test``, or ``x`` and ``y``; or a folder with
            one folder of images per class, perhaps below ``train`` and ``test``. A path that does not lead to
            anything from here is looked up below ``root``.
        root: Folder of torchvision's files; by default ``EVO_MOO_DATA``, else a folder in the user's cache.
        download: Whether torchvision may fetch what is missing.
        n_images: Takes a share of every class, so that there are at most so many images in all.
        image_size: Height and width to which the images of a folder are scaled.

    Raises:
        ProblemError: There is no such set, it is not here, or it is not made as it should be.
    """
    for name, value in (("n_images", n_images), ("image_size", image_size)):
        if value is not None and value < 1:
            raise ProblemError(f"`{name}` must be at least 1, but is {value}")
    folder = Path(root or os.environ.get("EVO_MOO_DATA") or cache_folder() / "data").expanduser().absolute()
    if data in OF_TORCHVISION:
        find_or_fetch(data, folder, download)
    elif data != "digits":
        data = str(_path_of(data, folder))
        labels = _labels_of(Path(data))
        _check_labels(data, labels, min(1.0, (n_images or len(labels)) / len(labels)))
    return ImageSet(data, str(folder), n_images, image_size)


def stratified_order(y: Array, seed: int = 0) -> npt.NDArray[np.intp]:
    """Order labels ``(n,)`` so that every class is spread evenly: the first share of them has its share of each."""
    order = np.random.default_rng(seed).permutation(len(y))
    place = np.empty(len(y))
    for label in np.unique(y):
        of_class = order[y[order] == label]
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return np.argsort(place, kind="stable")


def split_in_three(strata: Array, rest: float) -> dict[str, npt.NDArray[np.intp]]:
    """Split rows, alike in their strata ``(n,)``.

    Returns:
        ``"train"``, ``"validation"`` and ``"test"`` to row numbers; the last two halve the share ``rest`` of all.
    """
    from sklearn.model_selection import train_test_split

    train, others = train_test_split(np.arange(len(strata)), test_size=rest, stratify=strata, random_state=0)
    validation, test = train_test_split(others, test_size=0.5, stratify=strata[others], random_state=0)
    return {"train": train, "validation": validation, "test": test}


def digits_in_three(scaled: Callable[[Array, Array], Array]) -> "dict[str, Part]":
    """Return scikit-learn's digits ``(n, 1, 8, 8)`` and labels ``(n,)`` by the name of their part, 60 % to train.

    Args:
        scaled: Scales all images ``(n, 8, 8)``, of 0 to 16, by the training images among them.
    """
    import torch
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = split_in_three(digits.target, 0.4)
    images = torch.tensor(scaled(digits.images, digits.images[rows["train"]]), dtype=torch.float32)[:, None]
    labels = torch.tensor(digits.target, dtype=torch.int64)
    return {name: (images[chosen], labels[chosen]) for name, chosen in rows.items()}


@functools.lru_cache(maxsize=4)
def _load(images: ImageSet, device: str) -> Images:
    import torch

    pairs = _read(images)
    n_all = sum(len(y) for _, y in pairs)
    share = min(1.0, (images.n_images or n_all) / n_all)
    _check_labels(images.data, pairs[0][1], share)
    (X, y), *own_test = (_share_of(pair, share) for pair in pairs)
    names, n_train = np.unique(y), round((0.8 if own_test else 0.6) * len(y))
    end = len(y) if own_test else (n_train + len(y)) // 2
    parts = [(X[:n_train], y[:n_train]), (X[n_train:end], y[n_train:end]), *(own_test or [(X[end:], y[end:])])]
    if unknown := set(np.unique(parts[2][1])) - set(names):
        raise ProblemError(f"`data` = {images.data!r} must train every label that it tests, but not {unknown}")
    train, validation, test = (
        (torch.from_numpy(_standard_form(X)).to(device), torch.from_numpy(np.searchsorted(names, y)).to(device))
        for X, y in parts
    )
    std, mean = torch.std_mean(train[0], dim=(0, 2, 3))
    return Images(train, validation, test, len(names), mean, std.clamp(min=1e-3))


def _share_of(pair: Pair, share: float) -> Pair:
    chosen = stratified_order(pair[1])[: round(share * len(pair[1]))]
    return pair[0][chosen], pair[1][chosen]


def _standard_form(X: Array) -> Array:
    """Return ``(n, channels, height, width)``, float32 in [0, 1], for images with the channels last, or with none."""
    X = X[:, None] if X.ndim == 3 else np.moveaxis(X, 3, 1)
    return np.ascontiguousarray(X.astype(np.float32) / (255 if X.dtype == np.uint8 else 1))


def _read(images: ImageSet) -> list[Pair]:
    """Return the images to train and judge with, and those to test with where the set has its own."""
    if images.data == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        return [(digits.images / 16, digits.target)]
    if images.data in OF_TORCHVISION:
        return [read_torchvision(images.data, images.root, train) for train in (True, False)]
    path = Path(images.data)
    if path.suffix == ".npz":
        return read_archive(path)
    return [read_folder(folder, images.image_size) for folder in parts_of(path)]


def _path_of(data: str, root: Path) -> Path:
    given = Path(data).expanduser()
    for path in (given.absolute(), root / given):
        if path.is_dir() or (path.suffix == ".npz" and path.is_file()):
            return path
    raise ProblemError(
        f"`data` must be one of {', '.join(NAMES)}, an .npz file or a folder of images, but {data!r} is none, neither "
        f"here nor in {root}; set `root`, or give the whole path"
    )


def _labels_of(path: Path) -> Array:
    """Return the labels to train with, once all that can be told of the files without a training is checked."""
    if path.suffix == ".npz":
        return read_archive(path)[0][1]
    folders = parts_of(path)
    if not any(True for _ in image_files(folders[0])):
        raise ProblemError(
            f"`data` must be a folder with one folder of images per class, but {folders[0]} has none, or no .png, "
            ".jpg, .bmp, .gif, .ppm, .tif or .webp in them"
        )
    return np.array([file.parent.name for file in image_files(folders[0])])


def _check_labels(data: str, labels: Array, share: float) -> None:
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise ProblemError(f"`data` = {data!r} must have at least 2 classes, but has {len(names)}")
    fewest = int(counts.min() * share)
    if fewest < _FEWEST_PER_CLASS:
        way_out = "raise `n_images`" if share < 1 else f"add images, or drop the class {names[counts.argmin()]!s}"
        raise ProblemError(
            f"`data` = {data!r} must have at least {_FEWEST_PER_CLASS} images of each class to train and judge with, "
            f"but has {fewest} of one; {way_out}"
        )
