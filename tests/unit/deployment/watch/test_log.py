import json
from pathlib import Path

import pytest

from evo_moo.deployment.watch.log import Place, read_log
from evo_moo.errors import UsageError

ROWS = [
    {"time": 1, "output": [0.25, 0.75], "group": "a", "input.x": 1.5},
    {"time": 2, "output": [1, 0], "group": '3, "b"', "input.x": 2, "label": 1},
]


def write(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".parquet":
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        names = list(dict.fromkeys(name for row in rows for name in row))
        pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
    elif path.suffix == ".csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[str(row.get(name, "")).replace('"', '""') for name in names] for row in rows]
        path.write_text("\n".join([",".join(names), *(",".join(f'"{each}"' for each in line) for line in cells), ""]))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, place: Place | None = None) -> tuple[list[dict], Place]:
    rows, place = [], place or Place()
    for records, faults, after in read_log(path, place):
        assert faults == []
        rows, place = [*rows, *records], after
    return rows, place


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_every_form_gives_the_same_rows_each_once(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"log.{form}", ROWS[:1] * 3)
    first, place = read(path)
    assert first == ROWS[:1] * 3
    assert read(path, place)[0] == []
    write(path, [*ROWS[:1] * 3, ROWS[0]])
    assert read(path, place)[0] == ROWS[:1]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_missing_cells_are_no_cells(tmp_path: Path, form: str) -> None:
    rows, _ = read(write(tmp_path / f"log.{form}", ROWS))
    assert rows == ROWS


def test_a_row_counts_once_its_end_is_written(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    first, place = read(path)
    assert first == ROWS[:1]
    path.write_bytes(whole)
    assert read(path, place)[0] == ROWS[1:]


def test_a_new_file_of_the_same_name_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", ROWS)
    _, place = read(path)
    write(path, [{"time": 5}, *ROWS])
    assert len(read(path, place)[0]) == 3


@pytest.mark.parametrize("name", ["log.txt", "log.pkl", "no.jsonl", "log.parquet"])
def test_another_file_is_refused_as_a_log(tmp_path: Path, name: str) -> None:
    if name != "no.jsonl":
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(UsageError, match="`--log` must"):
        read(tmp_path / name)


@pytest.mark.parametrize("content", [b'a,"b\n1,2\n', b"\xff\xfe\n1\n"])
def test_damaged_headings_are_one_message(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    with pytest.raises(UsageError, match="`--log` must be a file that can be read"):
        read(tmp_path / "log.csv")


def test_headings_that_are_being_written_are_no_rows_yet(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"time,lat")
    assert read(path) == ([], Place())
