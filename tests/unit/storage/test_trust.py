import shutil

import pytest

from evo_moo.storage.trust import SEAL, is_sealed, seal


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "project" / "runs" / "r"
    folder.mkdir(parents=True)
    return folder


def names(folder, file="p.py"):
    return [f"{folder.parents[1] / file}:P", "package.models:Model"]


def test_a_seal_holds_for_its_code_and_user_alone(run, monkeypatch, tmp_path):
    assert not is_sealed(run, names(run))
    seal(run, names(run))
    assert is_sealed(run, names(run))
    assert not is_sealed(run, names(run, "q.py")) and not is_sealed(run, names(run)[:1])
    monkeypatch.setenv("EVO_MOO_STATE_DIR", str(tmp_path / "of another user"))
    assert not is_sealed(run, names(run))


def test_a_seal_moves_with_the_project_and_the_folder(run, tmp_path):
    seal(run, names(run))
    copied = shutil.copytree(run, tmp_path / "elsewhere" / "deeper" / "r")
    assert is_sealed(copied, names(run))
    moved = shutil.move(tmp_path / "project", tmp_path / "moved") / "runs" / "r"
    assert is_sealed(moved, names(moved))
    assert not is_sealed(moved, names(copied))


def test_a_key_is_private_and_a_damaged_seal_is_none(run, monkeypatch, tmp_path):
    monkeypatch.setenv("EVO_MOO_STATE_DIR", str(tmp_path / "state"))
    seal(run, names(run))
    assert (tmp_path / "state" / "key").stat().st_mode & 0o077 == 0
    (run / SEAL).write_bytes(b"\xff\x00")
    assert not is_sealed(run, names(run))
    (tmp_path / "state" / "key").write_bytes(b"")
    seal(run, names(run))
    assert not is_sealed(run, names(run))
