import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evo_moo.storage.log import AUDIT, read_audit, write_audit


def test_lines_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: write_audit(tmp_path, "pick", id=k, why="x" * 3000), range(200)))
    assert sorted(entry.detail["id"] for entry in read_audit(tmp_path)) == list(range(200))


def test_lines_of_strangers_are_left_out(tmp_path: Path) -> None:
    write_audit(tmp_path, "run", budget={"n_evals": 5})
    with (tmp_path / AUDIT).open("ab") as file:
        file.write(b"\xff\n[]\n{}\n" + b"[" * 10_000 + b"\n" + json.dumps({"at": 1, "who": 2}).encode() + b"\n")
    assert [(entry.what, entry.detail) for entry in read_audit(tmp_path)] == [("run", {"budget": {"n_evals": 5}})]


def test_a_folder_that_takes_no_line_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("kept\n")
    (tmp_path / AUDIT).symlink_to(tmp_path / "elsewhere")
    write_audit(tmp_path, "run")
    write_audit(None, "run")
    assert (tmp_path / "elsewhere").read_text() == "kept\n"
    assert read_audit(tmp_path / "missing") == []
