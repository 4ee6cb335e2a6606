import multiprocessing
import os
import signal

import pytest

torch = pytest.importorskip("torch")

from evo_moo.toolkit.supernet import keeping  # noqa: E402
from evo_moo.toolkit.supernet.keeping import kept_supernet  # noqa: E402
from evo_moo.toolkit.supernet.training import Settings  # noqa: E402
from tests.unit.toolkit.supernet.small import NETWORKS, SPACE, images  # noqa: E402

DATA = images(64), torch.arange(64) % 3
SETTINGS = Settings(epochs=2, batch_size=32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path))
    return tmp_path / "supernets"


def made(seed=1, data="noise", settings=SETTINGS):
    return kept_supernet(SPACE, DATA, settings, seed=seed, data=data)


def logits(supernet):
    return supernet.sampled(DATA[0], NETWORKS[1])[-1].detach()


def killed_in_the_middle():
    keeping.train_supernet = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
    made()


def test_supernet_is_trained_once(monkeypatch):
    first = made()
    monkeypatch.setattr(keeping, "train_supernet", lambda *args, **kwargs: pytest.fail("trained again"))
    assert torch.equal(logits(first), logits(made())) and not made().training


def test_seed_data_and_settings_have_supernets_of_their_own(folder):
    for options in ({}, {"seed": 2}, {"data": "other noise"}, {"settings": Settings(epochs=1)}):
        made(**options)
    assert len(list(folder.glob("*.safetensors"))) == 4


def test_damaged_file_is_made_again(folder):
    first = made()
    (file,) = folder.glob("*.safetensors")
    for damage in (b"", b"nonsense", file.read_bytes()[:-1]):
        file.write_bytes(damage)
        assert torch.equal(logits(made()), logits(first))


def test_a_kill_in_the_middle_keeps_nothing_and_no_lock(folder):
    process = multiprocessing.get_context("fork").Process(target=killed_in_the_middle)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and not list(folder.glob("*.safetensors"))
    made()
    assert len(list(folder.glob("*.safetensors"))) == 1


def test_unwritable_folder_costs_only_the_keeping(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "file"))
    assert torch.equal(logits(made()), logits(made()))
