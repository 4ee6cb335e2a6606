"""Cut the power of short searches, again and again: ``python -m`` this, with a folder, a kind, a number and a seed.

A small C library, preloaded, notes every change of a run folder (``power_loss.c``). What a power failure leaves at an
instant is rebuilt of that: what was synced by then, and of all else a random part: of each file some writes, or some
sectors of them; of each folder some of the names that were made, changed and removed. That is more than common file
systems lose, and no less than POSIX lets them lose. Every run is a forked process of its own.
"""

import ctypes
import itertools
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import evo_moo
from evo_moo.evaluation import evaluate
from evo_moo.run.doctor import examine
from evo_moo.storage import ledger
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.storage.reading import reading
from evo_moo.storage.run_folder import JOURNAL
from tests.integration.kill_at_write import forked, look, search
from tests.integration.running import front_of, ledger_of

SOURCE = Path(__file__).with_suffix(".c")
SECTOR = 512
ACKNOWLEDGED = "acknowledged"
"""Name of a file beside the run folder, to which is written what the engine says is recorded."""
HEAD = struct.Struct("<QQqQQ")


def compiled(folder: Path) -> Path | None:
    """Compile the library; None where there is no compiler for it, or no Linux."""
    library, compiler = folder / "power_loss.so", shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True)
    return library


class Change(NamedTuple):
    kind: str
    file: int
    offset: int
    first: bytes
    second: bytes


def changes_in(trace: Path) -> list[Change]:
    data, at, changes = trace.read_bytes(), 0, []
    while at + HEAD.size <= len(data):
        kind, file, offset, n, m = HEAD.unpack_from(data, at)
        at += HEAD.size
        changes.append(Change(chr(kind), file, offset, data[at : at + n], data[at + n : at + n + m]))
        at += n + m
    return changes


@dataclass
class File:
    """What is of a file on the disk for certain, and what was done to it since: a size, or an offset and bytes."""

    content: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        self.content, self.since = self.left(lambda: True), []

    def left(self, survives: Any) -> bytearray:
        content = bytearray(self.content)
        for offset, data in self.since:
            if data is None:
                if survives():
                    content = content[:offset] + bytes(max(0, offset - len(content)))
                continue
            for start in range(0, len(data), SECTOR):
                if survives():
                    part, at = data[start : start + SECTOR], offset + start
                    content += bytes(max(0, at - len(content)))
                    content[at : at + len(part)] = part
        return content


Name = tuple[str, str, File | None]
"""What was done to a name: ``made`` with a file, or None of a folder; ``gone``."""


class Disk:
    """A folder as the changes made it, and what of it survives a power failure."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, File | None] = {self._root: None}
        for path in root.rglob("*"):  # what was there before has been there for long
            self._names[str(path)] = File(bytearray(path.read_bytes())) if path.is_file() else None
        self._since: list[list[Name]] = []
        self._now = dict(self._names)
        self._files = {Path(name).stat().st_ino: file for name, file in self._names.items() if file}
        self.acknowledged: list[str] = []

    def apply(self, change: Change) -> None:
        name, file = change.first.decode(errors="replace"), self._files.get(change.file)
        match change.kind:
            case "C":
                self._files[change.file] = self._rename([(name, "made", File())])
            case "M":
                self._rename([(name, "made", None)])
            case "U":
                self._rename([(name, "gone", None)])
            case "R":
                moved = self._now.get(name)
                self._rename([(name, "gone", None), (change.second.decode(), "made", moved)])
            case "W" if change.second.decode(errors="replace").endswith(ACKNOWLEDGED):
                self.acknowledged += change.first.decode().split()
            case "W" if file:
                file.since.append((change.offset, change.first))
            case "T" if file:
                file.since.append((change.offset, None))
            case "S" if name in self._now and self._now[name] is None:  # a folder may have the number of a file before
                self._sync_names(name)
            case "S" if file:
                file.sync()

    def _rename(self, steps: list[Name]) -> File | None:
        self._since.append(steps)
        for name, what, file in steps:
            if what == "made":
                self._now[name] = file
            else:
                self._now.pop(name, None)
        return steps[-1][2]

    def _sync_names(self, folder: str) -> None:
        later = []
        for steps in self._since:
            if str(Path(steps[-1][0]).parent) == folder:
                _take(self._names, steps)
            else:
                later.append(steps)
        self._since = later

    def write_what_is_left(self, rng: random.Random) -> None:
        """Write anew below the folder what a power failure leaves now."""
        share = rng.choice([0.0, 0.0, 0.2, 0.5, 0.8, 1.0])

        def survives() -> bool:
            return rng.random() < share

        names = dict(self._names)
        in_order, n = rng.random() < 0.5, rng.randint(0, len(self._since))
        for i, steps in enumerate(self._since):  # most file systems keep a beginning of what was done to names
            if i < n * bool(share) if in_order else survives():
                _take(names, steps)
        shutil.rmtree(self._root)
        for name in sorted(names, key=len):
            file, path = names[name], Path(name)
            if not path.parent.is_dir() or name.endswith(("-shm", ACKNOWLEDGED)):
                continue
            if file is None:
                path.mkdir(exist_ok=True)
            else:
                path.write_bytes(file.left(survives))


def _take(names: dict[str, File | None], steps: list[Name]) -> None:
    for name, what, file in steps:
        if what == "made":
            names[name] = file
        else:
            names.pop(name, None)


class Acknowledging(evo_moo.Callback):
    """Writes down each evaluation that the engine says is recorded, with the seconds that it took."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a")

    def on_evaluation(self, run: RunFacts, evaluation: Evaluation) -> None:
        self._file.write(f"{evaluation.id}:{evaluation.duration_s} ")
        self._file.flush()


KINDS = {
    "generational": 0.0,
    "steady-state": 0.0,
    "journal": 0.0,  # which is a file
    "dear": ledger.WORTH_S,  # an evaluation seems to take 0.4 s, so that every third outcome is synced
    "refined": ledger.WORTH_S,
    "stopping": ledger.WORTH_S,
}
"""Kind of a search to the seconds of evaluating that a power failure may cost of what was acknowledged."""


def traced(library: ctypes.CDLL, disk: Path, trace: Path, kind: str) -> int:
    """Search with every change noted."""

    def act() -> None:
        if kind == "dear":
            clock = itertools.count(0, 0.4)
            evaluate.time = SimpleNamespace(time=time.time, perf_counter=lambda: next(clock))  # type: ignore[assignment]
        ledger.WORTH_S = KINDS[kind]
        library.power_trace(os.fsencode(disk), os.fsencode(trace))
        search_kind(disk / "r", kind, [Acknowledging(disk / ACKNOWLEDGED)])

    return forked(act)


def search_kind(run_dir: Path, kind: str, callbacks: Sequence[evo_moo.Callback] = ()) -> None:
    os.environ[JOURNAL] = "delete" if kind == "journal" else "wal"
    search(run_dir, "generational" if kind in ("dear", "journal") else kind, callbacks)


def lost(run_dir: Path, acknowledged: list[str]) -> list[tuple[int, float]]:
    """Return which evaluations were acknowledged and are not there, with the seconds that each took."""
    there: set[int] = set()
    if (run_dir / "run.sqlite").exists() and not has_not_begun(run_dir):
        with reading(run_dir) as opened:
            there = {e.id for e in opened.ended()}
    pairs = (entry.split(":") for entry in acknowledged)
    return [(int(key), float(seconds)) for key, seconds in pairs if int(key) not in there]


def has_not_begun(run_dir: Path) -> bool:
    findings = {finding.what: finding for finding in examine(run_dir)}
    return not findings["ledger"].sound or findings["facts"].detail == "the run has not begun yet"


def cuts(library: ctypes.CDLL, folder: Path, kind: str, n: int, rng: random.Random) -> Iterator[str]:
    """Cut the power ``n`` times, and tell each fault."""
    disk, trace = folder / "disk", folder / "trace"
    search_kind(folder / "twin", kind)
    expected = ledger_of(folder / "twin"), front_of(folder / "twin")
    disk.mkdir()
    while n > 0:
        shutil.rmtree(disk)
        disk.mkdir()
        for again in range(3):  # a run that was cut is cut again while it goes on
            before = folder / "before"
            shutil.rmtree(before, ignore_errors=True)
            shutil.copytree(disk, before)
            started = Disk(disk)
            if code := traced(library, disk, trace, kind):
                yield f"{kind}: cut {again} times, the run ended by {code}"
                break
            changes = changes_in(trace)
            synced = [i for i, change in enumerate(changes, 1) if change.kind == "S"]
            at = rng.choice(synced) if rng.random() < 0.6 else rng.randint(1, len(changes))
            for change in changes[:at]:
                started.apply(change)
            started.write_what_is_left(rng)
            n -= 1
            gone = []
            looked = forked(lambda: look(disk / "r")) if (disk / "r").exists() else 0
            if looked == 0:
                gone = lost(disk / "r", started.acknowledged)
            if looked or (gone and sum(seconds for _, seconds in gone) >= KINDS[kind]):
                yield f"{kind}: cut at {at} of {len(changes)}: look {looked}, lost {gone}"
            if rng.random() < 0.5 or n <= 0:
                break
        shutil.copytree(disk, folder / "cut", dirs_exist_ok=False)
        code = forked(lambda: search_kind(disk / "r", kind))
        unsound = [finding for finding in examine(disk / "r") if not finding.sound]
        parts = zip((ledger_of(disk / "r"), front_of(disk / "r")), expected, strict=True)
        others = [pair for ends in parts for pair in itertools.zip_longest(*ends) if pair[0] != pair[1]]
        if code or unsound or others:
            kept = shutil.move(folder / "cut", folder / f"cut-{n}")
            shutil.copytree(before, folder / f"before-{n}")
            shutil.copy(trace, folder / f"trace-{n}")
            yield f"{kind}: cut at {at} of {len(changes)}: resume {code}, {unsound}, {others[:2]}; it is {kept}"
        shutil.rmtree(folder / "cut", ignore_errors=True)


def main() -> None:
    folder, kind, n, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    library = ctypes.CDLL(os.environ["LD_PRELOAD"])
    faults = 0
    for fault in cuts(library, folder.resolve(), kind, n, random.Random(seed)):
        faults += 1
        print(fault, flush=True)
    print(f"{n} cuts, {faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
