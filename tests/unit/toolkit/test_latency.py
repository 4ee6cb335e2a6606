import fcntl
import gc
import json
import os
import platform
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from evo_moo.evaluation import slots
from evo_moo.toolkit.latency import Effort, Latency, measure_latency, model_latency
from evo_moo.toolkit.reference_workload import Reference, numpy_reference
from evo_moo.toolkit.timing import CPU_CLOCK, WALL_CLOCK, Clock, Reading, quiet_process

QUICK = Effort(warmup_s=0.01, min_blocks=7, max_blocks=7, block_ms=0.2)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path))
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("evo_moo.toolkit.reference_workload.CALIBRATION_S", 0.01)
    return tmp_path


def work(n):
    return lambda: sum(range(n))


class Machine:
    """A clock over calls that take given times, on a machine whose slowness changes from block to block.

    Args:
        slowness: Number of the block to the factor that slows its computing.
        noise: Standard deviation of the logarithm of its time.
        load: Number of the block to its wall time by its CPU time.
        counts_waiting: Whether the clock shows the wall time.
    """

    def __init__(self, slowness=lambda n: 1.0, noise=0.0, load=lambda n: 1.0, counts_waiting=False):
        self.slowness, self.noise, self.load, self.n_blocks = slowness, noise, load, 0
        self.rng = np.random.default_rng(0)
        self.clock = Clock("simulated", self.read, counts_waiting)

    def read(self, call, n):
        self.n_blocks += 1
        own_ms = call() * self.slowness(self.n_blocks) * self.rng.lognormal(0, self.noise)
        wall_ms = own_ms * self.load(self.n_blocks)
        return Reading(wall_ms if self.clock.counts_waiting else own_ms, wall_ms, own_ms, own_ms)

    def measure(self, time_ms, name="steady", **effort):
        reference = Reference(lambda: 2.0, name)
        effort = Effort(**({"warmup_s": 0.01, "limit_s": 60} | effort))
        return measure_latency(lambda: time_ms, effort=effort, reference=reference, clock=self.clock)


def test_more_work_takes_longer():
    small, large = measure_latency(work(500), effort=QUICK), measure_latency(work(50_000), effort=QUICK)
    assert large.median_ms > 10 * small.median_ms > 0
    assert large.corrected_ms > 10 * small.corrected_ms > 0
    assert small.n_repeats > large.n_repeats >= 1


def test_every_call_is_counted():
    calls = []
    effort = Effort(warmup_s=0.0, min_blocks=7, max_blocks=7, block_ms=0.2)
    result = measure_latency(lambda: calls.append(1), effort=effort, clock=CPU_CLOCK)  # chosen: not tried first
    assert len(result.times_ms) == len(result.reference_times_ms) == 7
    assert len(calls) == 1 + 1 + 7 * result.n_repeats  # cold, warm-up, blocks


def test_block_without_a_least_time_is_one_call():
    assert measure_latency(work(1), effort=Effort(min_blocks=6, max_blocks=6, block_ms=0)).n_repeats == 1


def test_drift_of_the_machine_cancels():
    """Half as fast in every other 50 blocks: the raw median is off, the corrected one is not."""
    Machine().measure(3.0)  # the nominal time, on the machine when quiet
    drifting = Machine(lambda n: 2.0 if n // 50 % 2 else 1.0)
    result = drifting.measure(3.0, min_blocks=40, max_blocks=40)
    assert result.corrected_ms == pytest.approx(3.0, rel=1e-6)
    assert result.median_ms > 4.0 and result.reference_ms > result.nominal_ms == 2.0


def test_measuring_ends_at_a_narrow_interval_or_the_cap():
    few, more, most = (Machine(noise=noise).measure(3.0) for noise in (0.001, 0.03, 1.0))
    assert len(few.times_ms) == 30 < len(more.times_ms) < len(most.times_ms) == 300
    assert few.ci_share <= 0.02 >= more.ci_share and most.ci_share > 0.02


def test_interval_covers_the_median_in_95_of_100_cases():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        low, high = Latency(tuple(rng.lognormal(0, 0.3, 40)), (1.0,) * 40, 1.0, 1, 0.0).ci_ms
        held += low <= 1.0 <= high
    assert 0.94 <= held / 2000 <= 0.98


def test_the_figures_are_those_of_a_hand_count():
    times = tuple(float(i) for i in range(1, 102))
    result = Latency(times, (2.0,) * 101, 4.0, 1, 7.0, batch_size=10, wall_times_ms=times)
    assert (result.median_ms, result.iqr_ms, result.p95_ms) == (51, 50, 96)
    assert (result.corrected_ms, result.reference_ms) == (102, 2)
    assert result.throughput_per_s == pytest.approx(10 / 0.102)
    assert result.ci_ms == (2 * 41, 2 * 61)  # ranks 50.5 -+ 9.85
    assert result.ci_share == pytest.approx(40 / 102)


def test_no_block_starts_after_the_limit_once_there_are_six():
    effort = Effort(warmup_s=0.0, min_blocks=1000, max_blocks=1000, limit_s=0.0)
    assert len(measure_latency(work(10), effort=effort).times_ms) == 6


def test_the_first_call_is_the_cold_start():
    times = iter([50.0])
    result = Machine().measure(1.0)
    assert result.cold_start_ms == pytest.approx(1.0, abs=0.5)
    slow_first = measure_latency(
        lambda: next(times, 1.0), effort=QUICK, reference=Reference(lambda: 1.0, "cold"), clock=Machine().clock
    )
    assert slow_first.cold_start_ms >= 50 > slow_first.median_ms


def kept_ms(folder):
    return {json.loads(path.read_text())["nominal_ms"] for path in (folder / "cache").iterdir()}


def test_the_reference_is_calibrated_once_per_machine(folder):
    first = Machine().measure(3.0, "a")
    slow = Machine(lambda n: 5.0).measure(3.0, "a")
    other = Machine(lambda n: 5.0).measure(3.0, "b")
    assert (first.nominal_ms, slow.nominal_ms, other.nominal_ms) == (2, 2, 10)
    assert kept_ms(folder) == {2, 10}


def test_a_faster_nominal_time_takes_the_place_of_a_slower(folder):
    slow = Machine(lambda n: 5.0).measure(3.0, "a")
    fast = Machine().measure(3.0, "a")
    again = Machine(lambda n: 5.0).measure(3.0, "a")
    assert (slow.corrected_ms, fast.corrected_ms, again.corrected_ms) == (15, 3, 3)
    assert fast.nominal_ms == again.nominal_ms == 2 and kept_ms(folder) == {2}


@pytest.mark.parametrize(
    "noisy", [{"load": lambda n: 2.0}, {"slowness": lambda n: 2.0 if n % 3 else 1.0}], ids=["interrupted", "unsteady"]
)
def test_nothing_is_kept_while_calibration_is_noisy(folder, noisy):
    result = Machine(**noisy).measure(3.0, f"noisy {sorted(noisy)}")
    assert result.nominal_ms == 2 and not (folder / "cache").exists()  # this process goes on with what it saw
    Machine().measure(3.0, f"noisy {sorted(noisy)}")
    assert kept_ms(folder) == {2}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"nominal_ms": null}', '{"nominal_ms": -1}', '{"nominal_ms": NaN}']
)
def test_a_damaged_calibration_is_made_again(folder, content):
    Machine().measure(3.0, f"damaged {content}")
    (path,) = (folder / "cache").iterdir()
    path.write_text(content)
    assert Machine().measure(3.0, f"damaged {content}").nominal_ms == 2
    assert json.loads(path.read_text())["nominal_ms"] == 2


def test_process_remembers_if_nothing_can_be_written(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(folder / "file"))
    assert Machine().measure(3.0).nominal_ms == Machine(lambda n: 5.0).measure(3.0).nominal_ms == 2


def test_the_cache_follows_the_users_folders(folder, monkeypatch):
    monkeypatch.delenv("EVO_MOO_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
    Machine().measure(3.0)
    assert len(list((folder / "xdg" / "evo-moo").iterdir())) == 1


def test_measuring_runs_alone_and_without_garbage_collection(folder):
    def call():
        assert not gc.isenabled()
        with (folder / "compute.lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    measure_latency(call, effort=QUICK)
    assert gc.isenabled()


def test_a_call_that_fails_leaves_nothing_behind(folder):
    with pytest.raises(ZeroDivisionError):
        measure_latency(lambda: 1 / 0)
    assert gc.isenabled()
    with (folder / "compute.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_garbage_collection_stays_off_where_it_was_off():
    gc.disable()
    try:
        measure_latency(work(10), effort=QUICK)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_freed_memory_is_not_asked_for_again():
    import resource

    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def call():
        np.ones(2_000_000, dtype=np.uint8)  # about 490 pages

    with quiet_process():
        WALL_CLOCK.read(call, 5)
        before = faults()
        WALL_CLOCK.read(call, 20)
        assert faults() - before < 490


@pytest.mark.parametrize(
    ("wrong", "message"), [({"min_blocks": 5}, "6, but is 5"), ({"max_blocks": 29}, "30, but is 29")]
)
def test_senseless_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be at least {message}"):
        Effort(**wrong)


def test_the_numpy_reference_does_the_same_each_time():
    assert np.array_equal(numpy_reference().call(), numpy_reference().call())


def test_the_host_wide_folder_is_used_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("EVO_MOO_SLOT_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    measure_latency(work(1), effort=QUICK)
    assert (tmp_path / f"evo-moo-{os.getuid()}" / "compute.lock").exists()


def test_model_is_measured_on_one_thread_and_left_unchanged():
    torch = pytest.importorskip("torch")
    seen = set()

    class Probe(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.frozen, self.free = torch.nn.Dropout(), torch.nn.Dropout()

        def forward(self, x):
            flags = (self.training, self.free.training, torch.is_inference_mode_enabled())
            seen.add((*flags, torch.get_num_threads()))
            return x

    model = Probe()
    model.frozen.eval()
    n_threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        assert model_latency(model, torch.zeros(1), effort=QUICK).median_ms > 0
        assert torch.get_num_threads() == 2
        model_latency(model, torch.zeros(1), effort=QUICK, threads=2)
    finally:
        torch.set_num_threads(n_threads)
    assert seen == {(False, False, True, 1), (False, False, True, 2)}
    assert (model.training, model.free.training, model.frozen.training) == (True, True, False)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_larger_model_and_a_larger_batch_take_longer():
    torch = pytest.importorskip("torch")
    small, large = torch.nn.Linear(8, 8), torch.nn.Linear(1000, 1000)
    small_ms = model_latency(small, torch.zeros(1, 8), effort=QUICK).corrected_ms
    large_ms = model_latency(large, torch.zeros(1, 1000), effort=QUICK).corrected_ms
    batch = model_latency(large, torch.zeros(1, 1000), effort=QUICK, batch_size=64)
    assert batch.corrected_ms > 2 * large_ms > 4 * small_ms
    assert batch.batch_size == 64


@pytest.mark.parametrize("size", ["batch_size", "threads"])
def test_a_model_needs_at_least_one_sample_and_thread(size):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=f"`{size}` must be at least 1, but is 0"):
        model_latency(torch.nn.Linear(1, 1), torch.zeros(1, 1), **{size: 0})


@pytest.mark.parametrize(
    ("machine", "is_sound"),
    [
        ({}, True),
        ({"slowness": lambda n: 3.0}, True),  # slower than when it was calibrated, as it may stay for ever
        ({"load": lambda n: 1.0 + (n % 10 == 0)}, True),
        ({"load": lambda n: 1.0 + n % 2}, False),
        ({"load": lambda n: 3.0}, False),
        ({"counts_waiting": True}, True),
        ({"counts_waiting": True, "slowness": lambda n: 3.0}, False),
        ({"counts_waiting": True, "load": lambda n: 3.0}, False),
    ],
)
def test_a_disturbed_measurement_says_so(machine, is_sound):
    Machine().measure(3.0, "disturbed")
    with slots.listening() as listener:
        result = Machine(**machine).measure(3.0, "disturbed")
    assert result.is_sound == listener.is_sound == is_sound
    assert [timing.value for timing in listener.timings] == [result.corrected_ms, result.throughput_per_s]


def test_the_load_of_others_adds_nothing_to_cpu_time():
    """The law of the measurement: any load, the same corrected latency; the raw one shows the load."""
    Machine().measure(3.0)
    rng = np.random.default_rng(3)
    loads = rng.uniform(1, 6, 1000)
    result = Machine(load=lambda n: loads[n]).measure(3.0, max_blocks=40)
    assert result.corrected_ms == pytest.approx(3.0) and result.median_ms > 6.0 and not result.is_sound


@pytest.mark.parametrize("waiting", [lambda: time.sleep(0.002), lambda: subprocess.run(["sleep", "0.002"], check=True)])
def test_call_that_waits_is_timed_by_the_wall_clock(waiting):
    result = measure_latency(waiting, effort=QUICK)
    assert result.clock == WALL_CLOCK.name and result.median_ms >= 2.0


def test_call_with_threads_is_timed_by_the_wall_clock():
    numbers = np.arange(200_000)

    def call():
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(np.sort, [numbers[::-1]] * 4))

    assert measure_latency(call, effort=QUICK).clock == WALL_CLOCK.name


def test_a_call_that_computes_is_timed_by_cpu_time():
    def clocks(measure, *args):
        return {measure(*args, effort=QUICK).clock for _ in range(4)}  # a loaded machine may hide it once

    assert CPU_CLOCK.name in clocks(measure_latency, lambda: sum(range(20_000)))
    torch = pytest.importorskip("torch")
    model, example = torch.nn.Linear(300, 300), torch.zeros(16, 300)
    assert CPU_CLOCK.name in clocks(model_latency, model, example)
    if (os.cpu_count() or 1) > 1:
        assert model_latency(model, example, effort=QUICK, threads=2).clock == WALL_CLOCK.name
