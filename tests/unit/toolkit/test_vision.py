import os
import subprocess
import sys

import pytest

from evo_moo.toolkit.vision import torchvision

pytest.importorskip("torch")

# Fails on its first import just as a torchvision does whose compiled operators cannot be loaded.
MISMATCHED = """
import torch
from torchvision import datasets
for name in ("nms", "qnms"):
    torch.library.register_fake("torchvision::" + name)(lambda dets, scores, iou_threshold: None)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package named torchvision that hides the installed one."""

    def write(text):
        folder = tmp_path / "torchvision"
        folder.mkdir()
        (folder / "__init__.py").write_text(text)
        (folder / "datasets.py").write_text("")
        return tmp_path

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return write


def test_the_installed_torchvision_works():
    pytest.importorskip("PIL")
    import torch

    vision = torchvision()
    from torchvision.transforms import v2

    assert torchvision() is vision
    assert vision.datasets.MNIST and v2.Resize(4)(torch.zeros(3, 8, 8)).shape == (3, 4, 4)


@pytest.mark.slow
def test_torchvision_that_does_not_match_torch_is_imported(package):
    folder = package(MISMATCHED)
    code = """
from evo_moo.toolkit.vision import torchvision
try:
    import torchvision as plain
except RuntimeError as error:
    assert "operator torchvision::nms does not exist" in str(error)
else:
    raise SystemExit("the plain import should fail")
vision = torchvision()
print(vision.__file__, vision.datasets.__name__)
"""
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(folder / "torchvision" / "__init__.py"), "torchvision.datasets"]


def test_another_error_of_its_import_is_passed_on(package):
    package("raise RuntimeError('out of luck')")
    with pytest.raises(RuntimeError, match="out of luck"):
        torchvision()


def test_a_missing_torchvision_names_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match=r"pip install 'torch"):
        torchvision()
