import os
from pathlib import Path

import pytest

from evo_moo.analysis.figures import new_figure
from evo_moo.errors import RunFolderError
from evo_moo.files import guarded_writes, remove_remains, save_figure, whole_file, write_whole


def test_files_have_their_name_only_once_complete(tmp_path):
    path = tmp_path / "a"
    write_whole(path, "old é")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text(encoding="utf-8") == "old é" and len(list(tmp_path.iterdir())) == 2
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_files_that_are_not_completed_leave_no_trace(tmp_path):
    write_whole(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / "a") as file:
        file.write(b"new")
        1 / 0  # noqa: B018
    assert (tmp_path / "a").read_bytes() == b"old" and list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_links_are_replaced_and_not_followed(tmp_path):
    write_whole(tmp_path / "aim", "old")
    (tmp_path / "a").symlink_to(tmp_path / "aim")
    write_whole(tmp_path / "a", "new")
    assert (tmp_path / "aim").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new" and not (tmp_path / "a").is_symlink()


def test_rights_of_a_file_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_remains_of_a_killed_writer_are_removed(tmp_path, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr(Path, "unlink", lambda _: None)
        with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a"):
            raise KeyboardInterrupt
    write_whole(tmp_path / "ab", "x")
    assert len(list(tmp_path.iterdir())) == 2
    remove_remains(tmp_path / "a")
    assert list(tmp_path.iterdir()) == [tmp_path / "ab"]


def test_unwritable_files_are_one_error_with_a_way_out(tmp_path):
    message = r"`.*a` must be writable, but is not: .*; use another"
    with pytest.raises(RunFolderError, match=message), guarded_writes(tmp_path / "a", "use another"):
        write_whole(tmp_path / "none" / "a", "x")
    with pytest.raises(RunFolderError, match="must be writable"):
        save_figure(new_figure(2, 2), tmp_path / "none" / "a.png")


def test_pictures_have_the_format_of_their_suffix(tmp_path):
    for name, start in (("a", b"\x89PNG"), ("b.svg", b"<?xml"), ("c.pdf", b"%PDF")):
        save_figure(new_figure(2, 2), tmp_path / name)
        assert (tmp_path / name).with_suffix(Path(name).suffix or ".png").read_bytes().startswith(start)
