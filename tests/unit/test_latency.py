import fcntl
import gc
import os

import pytest

from evo_moo.latency import measure_latency, model_latency

QUICK = {"warmup_s": 0.01, "blocks": 7, "block_ms": 0.2}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path))
    return tmp_path


def work(n):
    return lambda: sum(range(n))


def test_more_work_takes_longer():
    small, large = measure_latency(work(500), **QUICK), measure_latency(work(50_000), **QUICK)
    assert large.median_ms > 10 * small.median_ms > 0
    assert small.iqr_ms >= 0
    assert small.n_repeats > large.n_repeats >= 1


def test_every_call_of_a_series_is_counted():
    calls = []
    result = measure_latency(lambda: calls.append(1), warmup_s=0.0, blocks=7, block_ms=0.2, attempts=1)
    assert result.n_blocks == 7
    assert len(calls) == 1 + 7 * result.n_repeats


def test_no_block_starts_after_the_limit_once_there_are_five():
    assert measure_latency(work(10), warmup_s=0.0, blocks=1000, limit_s=0.0).n_blocks == 5


def test_it_runs_alone_and_without_garbage_collection(folder):
    def call():
        assert not gc.isenabled()
        with (folder / "compute.lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    measure_latency(call, **QUICK)
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
        measure_latency(work(10), **QUICK)
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("name", "value"), [("blocks", 4), ("attempts", 0)])
def test_senseless_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be at least .*, but is {value}"):
        measure_latency(work(1), **{name: value})


def test_a_model_is_measured_in_inference_on_one_thread_and_left_as_it_was():
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
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert model_latency(model, torch.zeros(1), **QUICK).median_ms > 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)
    assert seen == {(False, False, True, 1)}
    assert (model.training, model.free.training, model.frozen.training) == (True, True, False)


def test_a_larger_model_takes_longer():
    torch = pytest.importorskip("torch")
    small, large = torch.nn.Linear(8, 8), torch.nn.Linear(2000, 2000)
    small_ms = model_latency(small, torch.zeros(1, 8), **QUICK).median_ms
    assert model_latency(large, torch.zeros(1, 2000), **QUICK).median_ms > 2 * small_ms


def test_the_host_wide_folder_is_used_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("EVO_MOO_SLOT_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    measure_latency(work(1), **QUICK)
    assert (tmp_path / f"evo-moo-{os.getuid()}" / "compute.lock").exists()
