"""The slot between real processes; every wait is for an event, none for a time."""

import fcntl
import os
import subprocess
import sys
import timeit
from pathlib import Path

import pytest

from evo_moo.evaluation import slots
from evo_moo.evaluation.slots import compute_slot, measurement_slot, yield_to_measurements

TRAINING = """
import os, sys
from evo_moo.evaluation.slots import compute_slot, yield_to_measurements
counter = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
n = 0
def batch():
    global n
    n += 1
    os.pwrite(counter, n.to_bytes(8, "big"), 0)
    if n == 1:
        print("started", flush=True)
"""
ONE_LONG_TRAINING = """
with compute_slot():
    while True:
        batch()
        yield_to_measurements()
"""
MANY_SHORT_TRAININGS = """
while True:
    with compute_slot():
        batch()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path / "slot"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return tmp_path / "slot"


@pytest.fixture
def start(tmp_path):
    """Start Python code in a process and wait for its first line."""
    children = []

    def start(code):
        counter = tmp_path / f"counter{len(children)}"
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(counter)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout.readline() == "started\n"
        return child, counter

    yield start
    for child in children:
        child.kill()
        child.communicate()


def wait_for_progress(counter: Path) -> None:
    seen = counter.read_bytes()
    while counter.read_bytes() == seen:
        pass


def stands_still(counters: list[Path]) -> bool:
    seen = [counter.read_bytes() for counter in counters]
    return all([counter.read_bytes() for counter in counters] == seen for _ in range(3000))


def locked_alone(folder: Path) -> bool:
    return not can_lock(folder, fcntl.LOCK_SH)


def locked(folder: Path) -> bool:
    return not can_lock(folder, fcntl.LOCK_EX)


def can_lock(folder: Path, kind: int) -> bool:
    with (folder / "compute.lock").open("r+") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize("loop", [ONE_LONG_TRAINING, MANY_SHORT_TRAININGS])
def test_no_training_computes_while_somebody_measures(start, loop):
    counters = [start(TRAINING + loop)[1] for _ in range(2)]
    while stands_still(counters):
        pass
    for _ in range(3):
        with measurement_slot():
            assert stands_still(counters)
        for counter in counters:
            wait_for_progress(counter)


def test_measurement_on_a_gpu_waits_for_that_gpu_alone(start, monkeypatch):
    counters = {}
    for gpu in ("GPU-other", "GPU-mine"):
        monkeypatch.setenv("EVO_MOO_GPU", gpu)
        counters[gpu] = start(TRAINING + ONE_LONG_TRAINING)[1]
    for _ in range(3):
        with measurement_slot(on_gpu=True):
            assert stands_still([counters["GPU-mine"]])
            wait_for_progress(counters["GPU-other"])
        with measurement_slot():
            assert stands_still([*counters.values()])
        for counter in counters.values():
            wait_for_progress(counter)


def test_measurements_on_gpus_and_cpus_let_each_other_pass(start, monkeypatch):
    measuring = "with measurement_slot(on_gpu={}): batch()\n"
    loop = TRAINING + "from evo_moo.evaluation.slots import measurement_slot\nwhile True:\n "
    counters = []
    for gpu, on_gpu in (("one", True), ("two", True), ("two", False), ("", False)):
        monkeypatch.setenv("EVO_MOO_GPU", gpu)
        counters += [start(loop + measuring.format(on_gpu))[1], start(TRAINING + ONE_LONG_TRAINING)[1]]
    for _ in range(3):
        for counter in counters:
            wait_for_progress(counter)


def test_a_training_may_measure(start, folder):
    _, counter = start(TRAINING + ONE_LONG_TRAINING)
    with compute_slot():
        with measurement_slot():
            assert locked_alone(folder)
            assert stands_still([counter])
        wait_for_progress(counter)
        assert locked(folder)


def test_shared_lock_is_taken_again_after_a_failed_measurement(folder):
    with compute_slot():
        with pytest.raises(ZeroDivisionError), measurement_slot():
            raise ZeroDivisionError
        assert locked(folder) and not locked_alone(folder)
    assert not locked(folder)


def test_slots_of_one_process_nest(folder):
    with measurement_slot(), measurement_slot(), compute_slot():
        yield_to_measurements()
        assert locked_alone(folder)
    with compute_slot():
        with compute_slot():
            pass
        assert locked(folder)
    assert not locked(folder)


@pytest.mark.parametrize("slot", ["compute_slot", "measurement_slot"])
def test_a_killed_process_leaves_nothing_stuck(start, slot):
    child, _ = start(
        TRAINING + f"from evo_moo.evaluation.slots import {slot}\nwith {slot}():\n batch()\n sys.stdin.read()"
    )
    child.kill()
    with measurement_slot():
        pass
    with compute_slot():
        pass


def test_a_forked_child_does_not_keep_its_parents_locks(start):
    fork = "with compute_slot():\n if os.fork():\n  batch()\n  os._exit(0)\n sys.stdin.read()"
    child, _ = start(TRAINING + fork)
    assert child.wait() == 0
    with measurement_slot():
        pass


def test_yielding_costs_little_beside_a_batch(folder):
    """A batch is hundreds of array operations; a yield is two system calls."""
    numbers = list(range(20_000))
    with compute_slot():
        yielding_s = min(timeit.repeat(yield_to_measurements, number=1000, repeat=5))
    batch_s = min(timeit.repeat(lambda: sorted(numbers, key=str), number=10, repeat=5)) * 100
    assert yielding_s < 0.1 * batch_s


def test_slots_exclude_nothing_without_fcntl(monkeypatch, folder):
    monkeypatch.setattr(slots, "fcntl", None)
    with compute_slot(), measurement_slot():
        yield_to_measurements()
    assert not folder.exists()


def test_the_module_needs_no_torch():
    code = "import sys, evo_moo.evaluation.slots, evo_moo.toolkit.latency; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
