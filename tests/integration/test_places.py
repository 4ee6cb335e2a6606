"""Workers of real processes on devices that exist by name only: what each sees, and that no two have the same."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import evo_moo
from evo_moo.errors import JobError
from evo_moo.evaluation.loky_pool import LokyPool
from evo_moo.evaluation.places import Devices
from evo_moo.evaluation.task import PoolOptions, Task
from evo_moo.job.check import check_job
from evo_moo.plugins import ProblemSource
from evo_moo.run.api import run_job
from evo_moo.run.preparation.prepared import prepare
from evo_moo.storage.reading import reading

NAMES = ("CUDA_VISIBLE_DEVICES", "EVO_MOO_GPU", "EVO_MOO_WORKER_NUMBER", "EVO_MOO_CORES", "OMP_NUM_THREADS")


@pytest.fixture(autouse=True)
def two_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-one,GPU-two")
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path / "slot"))
    monkeypatch.setenv("PATH", "/bin:/usr/bin")


class Seen(evo_moo.SearchProblem):
    """Tells what its process has, ends when it is told, and dies once where that is told."""

    variables = {"x": evo_moo.Integer(0, 1000)}
    objectives = {"f": "min", "g": "max"}

    def evaluate(self, config, *, workspace):
        mine = {name: os.environ.get(name) for name in NAMES}
        mine |= {"pid": os.getpid(), "cores": [*os.sched_getaffinity(0)]}
        (workspace / f"{len(list(workspace.glob('seen*')))}.json").write_text(json.dumps(mine))
        (workspace / f"seen{os.getpid()}").touch()
        while not (workspace / "go").exists():
            if (workspace / "die").exists():
                (workspace / "die").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        return {"f": config["x"], "g": -config["x"]}


class Near(Seen):
    """Is deterministic."""

    def evaluate(self, config, *, seed):
        return {"f": config["x"], "g": (config["x"] * 7 + seed) % 100}


class OnGpu(Seen):
    """Computes on a real GPU, and counts those that it sees."""

    def evaluate(self, config):
        import torch

        return {"f": float(torch.full((2,), float(config["x"]), device="cuda").sum()), "g": torch.cuda.device_count()}


def pool(n_workers, **devices):
    source = ProblemSource(f"{__file__}:Seen")
    return closing(LokyPool(source, source.build().goals, n_workers, PoolOptions(60, devices=Devices(**devices))))


def submit(workers, folder: Path, n: int) -> list[Path]:
    """Start evaluations, and wait until each has begun."""
    folders = [folder / str(i) for i in range(n)]
    for i, each in enumerate(folders):
        each.mkdir(parents=True)
        workers.submit(Task(i, {"x": i}, 1, str(each)))
    while not all(list(each.glob("seen*")) for each in folders):
        assert workers.next_finished(0.1) == []
    return folders


def told(folder: Path, time: int = 0):
    return json.loads((folder / f"{time}.json").read_text())


def end(workers, folders):
    for each in folders:
        (each / "go").touch()
    outcomes = []
    while workers.running:
        outcomes += workers.next_finished(0.1)
    return outcomes


def test_each_worker_has_a_gpu_and_cores_of_its_own(tmp_path):
    with pool(None, gpus="auto", n_per_gpu=1, cpus_per_worker=1) as workers:
        folders = submit(workers, tmp_path, workers.free)
        one, two = (told(each) for each in folders)
        outcomes = end(workers, folders)
    assert {one["CUDA_VISIBLE_DEVICES"], two["CUDA_VISIBLE_DEVICES"]} == {"GPU-one", "GPU-two"}
    assert {one["EVO_MOO_WORKER_NUMBER"], two["EVO_MOO_WORKER_NUMBER"]} == {"0", "1"}
    assert not {*one["cores"]} & {*two["cores"]}
    assert [one["EVO_MOO_CORES"], one["OMP_NUM_THREADS"]] == [str(one["cores"][0]), "1"]
    assert {o.place["gpu"] for o in outcomes} == {"GPU-one", "GPU-two"}


def test_worker_that_replaces_a_dead_one_has_its_place(tmp_path):
    with pool(4, gpus=[0, 1], n_per_gpu=2) as workers:
        folders = submit(workers, tmp_path, 4)
        before = [told(each) for each in folders]
        (folders[2] / "die").touch()
        while len(list(folders[2].glob("seen*"))) < 2:
            workers.next_finished(0.1)
        again = told(folders[2], 1)
        outcomes = end(workers, folders)
    assert again["pid"] != before[2]["pid"]
    assert {**again, "pid": 0} == {**before[2], "pid": 0}
    assert sorted(told["EVO_MOO_GPU"] for told in before) == ["GPU-one"] * 2 + ["GPU-two"] * 2
    assert len({told["EVO_MOO_WORKER_NUMBER"] for told in before}) == 4
    assert {o.status for o in outcomes} == {"ok"}


def test_second_run_takes_what_is_free_and_the_rest_later(tmp_path, caplog):
    with pool(1, gpus="auto") as first, pool(None, gpus="auto") as second:
        folders, others = submit(first, tmp_path / "a", 1), submit(second, tmp_path / "b", second.free)
        assert [told(each)["EVO_MOO_GPU"] for each in (*folders, *others)] == ["GPU-one", "GPU-two"]
        with pool(None, gpus="auto") as third:
            workspace = tmp_path / "c"
            workspace.mkdir()
            third.submit(Task(9, {"x": 3}, 1, str(workspace)))
            assert third.next_finished(0.1) == [] and "waits, and begins as they end" in caplog.text
            assert (third.running, third.free) == (1, 0)
            end(first, folders)
            first.close()
            while not list(workspace.glob("seen*")):
                third.next_finished(0.1)
            assert told(workspace)["EVO_MOO_GPU"] == "GPU-one"
            end(third, [workspace])
        end(second, others)


def test_place_stays_taken_until_its_last_worker_is_gone(tmp_path):
    run = tmp_path / "run.py"
    run.write_text(
        f"import sys, os\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom pathlib import Path\n"
        f"import test_places\nos.environ['PYTHONPATH'] = os.pathsep.join(sys.path)\n"
        f"with test_places.pool(1, gpus=[0]) as workers:\n"
        f"    test_places.submit(workers, Path({str(tmp_path / 'a')!r}), 1)\n    print('begun', flush=True)\n"
        f"    input()\n"
    )
    child = subprocess.Popen([sys.executable, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"begun\n"
    worker = told(tmp_path / "a" / "0")["pid"]
    os.kill(worker, signal.SIGSTOP)  # so that it cannot see that its parent is gone
    child.kill()
    child.wait()
    with pool(None, gpus=[0]) as workers:
        assert workers.next_finished(0.1) == []
        (tmp_path / "b").mkdir()
        workers.submit(Task(1, {"x": 1}, 1, str(tmp_path / "b")))
        assert workers.next_finished(0.1) == []
        assert not list((tmp_path / "b").glob("seen*"))
        os.kill(worker, signal.SIGKILL)
        while not list((tmp_path / "b").glob("seen*")):
            workers.next_finished(0.1)
        end(workers, [tmp_path / "b"])


def test_search_is_the_same_on_any_place(tmp_path):
    near, settings = f"{__file__}:Near", {"n_evals": 16, "pop_size": 4, "surrogate": "none"}
    plain = evo_moo.search(near, workers=1, **settings)
    pinned = evo_moo.search(near, gpus="auto", n_per_gpu=2, run_dir=tmp_path / "run", **settings)
    assert pinned.configurations == plain.configurations and pinned.metrics == plain.metrics
    with reading(tmp_path / "run") as ledger:
        placed = [detail for _, _, detail in ledger.events("placed")]
    assert sorted(each["evaluation"] for each in placed) == list(range(1, 17))
    assert {each["gpu"] for each in placed} == {"GPU-one", "GPU-two"}


@pytest.mark.slow
def test_workers_of_dask_share_the_places_of_their_host(tmp_path):
    job = {
        "problem": {"use": f"{__file__}:Near"},
        "search": {"pop_size": 8},
        "budget": {"n_evals": 16},
        "surrogate": {"model": "none"},
        "evaluation": {"pool": "dask", "gpus": "auto", "n_per_gpu": 2},
    }
    run_job(prepare(*check_job(job), tmp_path / "run"), tmp_path / "run", verbose=False)
    with reading(tmp_path / "run") as ledger:
        placed = {(detail["gpu"], detail["number"]) for _, _, detail in ledger.events("placed")}
    assert len(placed) == 4 == len({number for _, number in placed})
    assert sorted(gpu for gpu, _ in placed) == ["GPU-one"] * 2 + ["GPU-two"] * 2


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"gpus": [0, 2]}, "`evaluation.gpus` must name GPUs that this process may use, but names 2; there are within"),
        ({"gpus": "all"}, '`evaluation.gpus` must be "auto", or a list of the numbers or the UUIDs of GPUs'),
        ({"n_per_gpu": 2}, "`evaluation.n_per_gpu` must go with `gpus`"),
        ({"cpus_per_worker": 4096}, "`evaluation.cpus_per_worker` must be at most"),
    ],
)
def test_fault_of_devices_names_the_way_out(given, fault):
    with pytest.raises(JobError) as caught:
        evo_moo.search(f"{__file__}:Near", **given)
    assert fault in str(caught.value)


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="needs a GPU")
def test_real_gpu_is_seen_by_its_worker_alone(monkeypatch):
    monkeypatch.undo()
    result = evo_moo.search(f"{__file__}:OnGpu", n_evals=6, pop_size=4, gpus="auto")
    assert all(metrics["g"] == 1 for metrics in result.metrics)
