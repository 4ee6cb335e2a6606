import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from evo_moo.errors import ProblemError  # noqa: E402
from evo_moo.toolkit.datasets import find_images, stratified_order  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (60, 10, 12), dtype=np.uint8)
Y = np.arange(60) % 3
DATA = os.environ.get("EVO_MOO_DATA")


def archive(folder: Path, **arrays) -> str:
    np.savez(folder / "images.npz", **arrays)
    return str(folder / "images.npz")


def pictures(folder: Path, n: int = 12, names=("cat", "dog")) -> Path:
    from PIL import Image

    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


@settings(max_examples=40)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=60), share=st.floats(0, 1))
def test_share_of_a_stratified_order_has_all_classes_alike(labels, share):
    y = np.array(labels)
    order = stratified_order(y)
    assert sorted(order) == list(range(len(y)))
    first = y[order][: round(share * len(y))]
    for label in np.unique(y):
        assert abs(np.sum(first == label) - share * np.sum(y == label)) <= 2


def test_the_digits_come_whole_and_in_the_unit_range():
    images = find_images().load()
    parts = (images.train, images.validation, images.test)
    assert [len(y) for _, y in parts] == [1078, 359, 360] and images.n_classes == 10 and images.shape == (1, 8, 8)
    rows = {tuple(image.flatten().tolist()) for part, _ in parts for image in part}
    assert len(rows) == 1797
    for part, y in parts:
        assert part.min() == 0 and part.max() == 1 and part.dtype == torch.float32 and y.dtype == torch.int64
        assert ((torch.bincount(y) / len(y)) - 0.1).abs().max() < 0.012
    assert images.mean == pytest.approx(images.train[0].mean().item())


def test_a_set_is_read_once_per_process():
    assert find_images().load() is find_images().load()


@pytest.mark.parametrize("n_images", [100, 501])
def test_the_number_of_images_can_be_limited(n_images):
    images = find_images(n_images=n_images).load()
    sizes = [len(y) for _, y in (images.train, images.validation, images.test)]
    assert sum(sizes) == n_images and sizes[0] == round(0.6 * n_images)


def test_an_archive_with_test_images_keeps_them_apart(tmp_path):
    images = find_images(archive(tmp_path, x_train=X[:40], y_train=Y[:40] + 7, x_test=X[40:], y_test=Y[40:] + 7)).load()
    assert [len(y) for _, y in (images.train, images.validation, images.test)] == [32, 8, 20]
    assert images.shape == (1, 10, 12) and images.n_classes == 3
    found = {tuple(row) for row in (images.test[0] * 255).round().to(torch.uint8).flatten(1).tolist()}
    assert found == {tuple(row) for row in X[40:].reshape(20, -1).tolist()}
    assert sorted(images.test[1].tolist()) == sorted((Y[40:]).tolist())


def test_an_archive_without_test_images_is_split_in_three(tmp_path):
    floats = np.repeat(X[..., None], 3, axis=3) / 255
    find = find_images("images.npz", root=archive(tmp_path, x=floats, y=Y).removesuffix("images.npz"))
    images = find.load()
    assert [len(y) for _, y in (images.train, images.validation, images.test)] == [36, 12, 12]
    assert images.shape == (3, 10, 12)
    before = find.version
    os.utime(tmp_path / "images.npz", (0, 0))
    assert find.version != before


@pytest.mark.parametrize("with_test", [True, False])
def test_a_folder_of_images_is_scaled_to_one_size(tmp_path, with_test):
    pytest.importorskip("PIL")
    pictures(tmp_path / "train" if with_test else tmp_path)
    if with_test:
        pictures(tmp_path / "test", n=3)
    found = find_images(str(tmp_path), image_size=16)
    images, before = found.load(), found.version
    next(tmp_path.glob("**/cat/0.png")).unlink()
    assert found.version != before
    assert images.shape == (3, 16, 16) and images.n_classes == 2
    assert len(images.test[1]) == (6 if with_test else 5)
    assert 0 <= images.train[0].min() < images.train[0].max() <= 1


WRONG = {
    "shape": (
        {"x": X.reshape(60, -1), "y": Y},
        r"`x` in .* must be images \(n, height, .* shape is \(60, 120\)",
    ),
    "channels": ({"x": X[..., None].repeat(4, axis=3), "y": Y}, r"1 or 3\), but its shape is \(60, 10, 12, 4\)"),
    "labels": ({"x": X, "y": Y[:50]}, r"`y` in .* must have one label per image, \(60,\), but its shape is \(50,\)"),
    "kind": ({"x": X, "y": Y / 3}, "`y` in .* must be integers or texts, but its type is float64"),
    "range": ({"x": X.astype(float), "y": Y}, "`x` in .* must be uint8, or floats from 0 to 1, but is float64"),
    "names": ({"images": X, "labels": Y}, "must hold the arrays x_train and y_train, .* lacks x, y; it holds images, "),
    "sizes": ({"x_train": X, "y_train": Y, "x_test": X[:, :5], "y_test": Y}, "images of one size"),
    "rare": ({"x": X, "y": np.where(np.arange(60) < 3, 1, 0)}, "at least 5 images of each class .* has 3 of one; add"),
    "one": ({"x": X, "y": Y * 0}, "must have at least 2 classes, but has 1"),
    "few": ({"x": X, "y": Y}, "at least 5 images of each class .* has 3 of one; raise `n_images`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_archive_is_refused_when_it_is_named(name, tmp_path):
    arrays, message = WRONG[name]
    with pytest.raises(ProblemError, match=message):
        find_images(archive(tmp_path, **arrays), n_images=10 if name == "few" else None)


def test_files_that_are_no_images_are_refused(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK not really")
    with pytest.raises(ProblemError, match=r"must be an .npz file, but .*broken.npz cannot be read"):
        find_images(str(tmp_path / "broken.npz"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(ProblemError, match=r"one folder of images per class, but .* has none"):
        find_images(str(tmp_path / "folder"))
    pytest.importorskip("PIL")
    (pictures(tmp_path / "pets") / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(ProblemError, match=r"cat/0.png must be an image, but cannot be read as one"):
        find_images(str(tmp_path / "pets")).load()


def test_missing_data_name_the_way_out(tmp_path):
    with pytest.raises(ProblemError, match=r"must lie in .*MNIST/raw, but is not there; set download = true, or root"):
        find_images("mnist", root=str(tmp_path))
    with pytest.raises(ProblemError, match=r"one of digits, mnist, .* but 'minst' is none, neither here nor in"):
        find_images("minst", root=str(tmp_path))
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"half of it")
    with pytest.raises(ProblemError, match=r"must lie whole in .*cifar-10-batches-py, .*; remove that folder and set"):
        find_images("cifar10", root=str(tmp_path)).load()


def test_a_download_without_network_names_the_way_out(tmp_path, monkeypatch):
    from evo_moo.toolkit.vision import torchvision

    def unreachable(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torchvision().datasets.mnist, "download_and_extract_archive", unreachable)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    message = r"must be fetched into .*, but that failed: .*; copy FashionMNIST/raw there .* or take data = 'digits'"
    with pytest.raises(ProblemError, match=message):
        find_images("fashion_mnist", root=str(tmp_path), download=True)


def test_the_files_of_torchvision_are_read(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, images, y in (("train", X[:40], Y[:40]), ("t10k", X[40:], Y[40:])):
        header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4) for n in images.shape)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = b"\0\0\x08\x01" + len(y).to_bytes(4) + y.astype(np.uint8).tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    images = find_images("mnist", root=str(tmp_path)).load()
    assert images.shape == (1, 10, 12) and len(images.test[1]) == 20 and len(images.train[1]) == 32


def test_naming_data_loads_no_torch():
    code = (
        "import sys; from evo_moo.toolkit.datasets import find_images; find_images(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(DATA is None, reason="EVO_MOO_DATA names no folder with real data")
@pytest.mark.parametrize(("name", "sizes"), [("mnist_6k", [4000, 1000, 1000]), ("fashion_mnist_900", [540, 180, 180])])
def test_real_archives_are_found_by_their_name(name, sizes):
    images = find_images(f"{name}.npz").load()
    assert [len(y) for _, y in (images.train, images.validation, images.test)] == sizes
    assert images.shape == (1, 28, 28) and images.n_classes == 10
