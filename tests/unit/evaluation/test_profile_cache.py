"""A profile is made once per architecture, and never taken for another's."""

import itertools
import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest

import evo_moo.evaluation.profile_cache as cache
from evo_moo import Choice, Integer, Metric, Real, SearchProblem
from evo_moo.errors import ProblemError
from evo_moo.evaluation.machine import cpu_model, gpu_models, note_nominal_ms
from evo_moo.evaluation.profile_cache import ProfileCache
from evo_moo.evaluation.slots import note_timings
from evo_moo.problem.measurements import Timing


class Counting(SearchProblem):
    variables = {
        "depth": Integer(1, 3),
        "width": Integer(1, 9, when={"depth": [2, 3]}),
        "act": Choice(["relu", None]),
        "lr": Real(0, 1),
    }
    objectives = {"error": "min"}
    architecture = ["width", "depth", "act"]

    def __init__(self) -> None:
        self.count = itertools.count(1)

    def profile(self, config):
        return {"n_params": next(self.count), "latency_ms": time.time() % 1 / 3}

    def evaluate(self, config):
        return {"error": config["lr"]}


A = {"depth": 1, "act": "relu", "lr": 0.5}
B = {"depth": 2, "width": 1, "act": "relu", "lr": 0.5}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "KEPT_FROM_S", 0.0)
    return tmp_path / "profiles"


@pytest.mark.parametrize("version", ["1", None])
def test_an_architecture_is_profiled_once(version: str | None) -> None:
    profiles = ProfileCache(Counting(), version)
    first, other = profiles.profile(A), profiles.profile(B)
    again = profiles.profile(A | {"lr": 0.1})
    assert first.measured_at == other.measured_at == 0 < again.measured_at <= time.time()
    assert again.metrics == first.metrics and type(again.metrics["n_params"]) is int
    assert [p.metrics["n_params"] for p in (first, other, profiles.profile(B))] == [1, 2, 2]


class Measured(Counting):
    """Whose latency is the next of a list, measured on a quiet machine or not."""

    metrics = {"latency_ms": Metric("ms", timed=True), "throughput": Metric(timed=True), "own_ms": Metric(timed=True)}

    def __init__(self, *seen: tuple[float, bool]) -> None:
        super().__init__()
        self.seen = iter(seen)

    def profile(self, config):
        value, is_sound = next(self.seen)
        note_timings(
            Timing(value, value * 0.99, value * 1.01, "reference", 2.0, 1),
            Timing(10 / value, 9.9 / value, 10.1 / value, "reference", 2.0, -1),
            is_sound=is_sound,
        )
        return {"latency_ms": value, "throughput": 10 / value, "own_ms": 7.0}


def test_value_in_doubt_is_measured_again_until_it_is_sound() -> None:
    profiles = ProfileCache(Measured((3.0, False), (4.0, False), (2.0, True), (50.0, True)), "1")
    values = [profiles.profile(A).metrics["latency_ms"] for _ in range(5)]
    assert values[0] == 3.0 < values[1] < 4.0 and values[2:] == [2.0] * 3


def test_lasting_doubt_is_measured_a_few_times_per_process() -> None:
    seen = [(3.0 + i, False) for i in range(9)]
    first = ProfileCache(Measured(*seen), "1").profile(A)
    profiles = ProfileCache(Measured(*seen), "1")
    pooled = [profiles.profile(A) for _ in range(8)]
    assert len(first.measurements) == 1
    assert [len(p.measurements) for p in pooled] == [2, 3, 4, 4, 4, 4, 4, 4]
    assert all(p.pooled().in_doubt for p in pooled) and pooled[4].metrics == pooled[7].metrics


def test_sound_value_is_not_displaced_by_a_disturbed_one() -> None:
    profiles = ProfileCache(Measured((2.0, True), (9.0, False), (2.2, True)), "1")
    values = [profiles.profile(A, anew=anew).metrics["latency_ms"] for anew in (False, True, False, True)]
    assert values[:3] == [2.0] * 3 and values[3] == pytest.approx((2.0 * 2.2) ** 0.5)


def test_kept_value_follows_a_lower_nominal_time() -> None:
    ProfileCache(Measured((3.0, True)), "1").profile(A)
    note_nominal_ms("reference", 1.0, keep=True)
    again = ProfileCache(Measured(), "1").profile(A).metrics
    assert again == {"latency_ms": 1.5, "throughput": pytest.approx(20 / 3), "own_ms": 7.0}


def test_sound_measurement_of_another_process_is_kept() -> None:
    problem, theirs = Measured((9.0, False)), ProfileCache(Measured((2.0, True)), "1")
    ours, plain = ProfileCache(problem, "1"), problem.profile
    problem.profile = lambda config: (theirs.profile(config), plain(config))[1]
    assert ours.profile(A).metrics["latency_ms"] == 2.0 == theirs.profile(A).metrics["latency_ms"]


def test_profile_depends_on_every_variable_by_default() -> None:
    problem = Counting()
    problem.architecture = None
    profiles = ProfileCache(problem, "1")
    assert [profiles.profile(config).metrics["n_params"] for config in (A, A | {"lr": 0.1}, A)] == [1, 2, 1]


def test_profile_is_reused_only_for_the_same_version_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_reused(version: str | None) -> bool:
        return ProfileCache(Counting(), version).profile(A).measured_at > 0

    assert [is_reused(v) for v in ("1", "1", "2", "2", None, None)] == [False, True, False, True, False, False]
    for name, value in (("cpu_model", "another"), ("gpu_models", ["another"])):
        monkeypatch.setattr(cache, name, lambda value=value: value)
        assert [is_reused("1"), is_reused("1")] == [False, True]
    monkeypatch.setattr(cache.importlib.metadata, "version", lambda name: "9.9")
    assert [is_reused("1"), is_reused("1")] == [False, True]


def test_last_of_two_simultaneous_profiles_is_kept() -> None:
    problem = Counting()
    ours, theirs = ProfileCache(problem, "1"), ProfileCache(Counting(), "1")
    theirs.profile(B)
    problem.profile = lambda config: theirs.profile(config).metrics | {"n_params": 70}
    made = ours.profile(A)
    assert made[:2] == ({"n_params": 70, "latency_ms": theirs.profile(A).metrics["latency_ms"]}, 0.0)
    assert theirs.profile(A).metrics["n_params"] == 70


def test_profile_that_takes_no_time_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "KEPT_FROM_S", 3600.0)
    profiles = ProfileCache(Counting(), "1")
    assert [profiles.profile(A).metrics["n_params"] for _ in range(3)] == [1, 2, 3]
    assert not folder.exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "foreign", "nan", "no metrics", "no measurements", "binary"])
def test_a_file_that_is_not_its_own_is_ignored_and_replaced(folder: Path, damage: str) -> None:
    problem = Counting()
    ProfileCache(problem, "1").profile(A)
    (path,) = folder.glob("*/*.json")
    record = json.loads(path.read_text())
    texts = {
        "foreign": json.dumps(record | {"architecture": '{"depth": 3}'}),
        "nan": json.dumps(record | {"metrics": {"n_params": float("nan")}}),
        "no metrics": json.dumps(record | {"metrics": 3}),
        "no measurements": json.dumps(record | {"measurements": [[1.0, {"latency_ms": [None] * 6}, True]]}),
    }
    path.write_bytes(b"\xff\xfe" if damage == "binary" else texts.get(damage, damage).encode())
    again = ProfileCache(problem, "1").profile(A)
    assert again.metrics["n_params"] == 2 and again.measured_at == 0
    assert ProfileCache(problem, "1").profile(A).metrics == again.metrics


def test_process_remembers_if_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path / "file"))
    profiles = ProfileCache(Counting(), "1")
    assert profiles.profile(A).metrics == profiles.profile(A).metrics


def test_old_profiles_are_removed_by_who_keeps_a_new_one(folder: Path) -> None:
    ProfileCache(Counting(), "old").profile(A)
    ProfileCache(Counting(), "1").profile(A)
    for path in folder.glob("*/*"):
        os.utime(path, (0, time.time() - cache.KEPT_FOR_S - 60))
    ProfileCache(Counting(), "1").profile(B)
    assert len(list(folder.glob("*/*"))) == 1 and len(list(folder.iterdir())) == 1


def test_wrong_numbers_are_not_kept(folder: Path) -> None:
    problem = Counting()
    problem.profile = lambda config: {"n_params": 2, "latency_ms": float("inf")}
    profile = ProfileCache(problem, "1").profile(A)
    assert profile.metrics == {"n_params": 2} and profile.faults == {"latency_ms": "must be finite, but is inf"}
    assert not folder.exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["depth", "size"], "must name variables, but names 'size'; its variables: depth, width, act, lr"),
        ("depth", "must be a list of variables, but is 'depth'"),
        (3, "must be a list of variables, but is 3"),
    ],
)
def test_an_architecture_names_variables(names: object, message: str) -> None:
    problem = Counting()
    problem.architecture = names
    with pytest.raises(ProblemError, match=message):
        problem.check()


def test_a_machine_is_its_cpu_and_its_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cpu_model() == cpu_model() != ""
    for i, model in enumerate(["B200", "A100"]):
        (tmp_path / "gpus" / str(i)).mkdir(parents=True)
        (tmp_path / "gpus" / str(i) / "information").write_text(f"Model: \t\t NVIDIA {model}\nIRQ:   {i}\n")
    monkeypatch.setattr("evo_moo.evaluation.machine.GPU_FOLDER", tmp_path / "gpus")
    assert gpu_models() == ["NVIDIA A100", "NVIDIA B200"]
    monkeypatch.setattr("evo_moo.evaluation.machine.GPU_FOLDER", tmp_path / "none")
    assert gpu_models() == []


class Unprofiled(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"error": "min"}


class Quick(Unprofiled):
    def profile(self, config):
        return {"size": config["x"]}


@pytest.mark.parametrize("problem", [Unprofiled, Quick])
def test_profiles_made_at_once_leave_nothing_in_memory(problem, monkeypatch):
    monkeypatch.setattr(cache, "KEPT_FROM_S", 1000.0)
    profiles, rest = ProfileCache(problem(), None), []
    for _ in range(3):
        tracemalloc.start()
        for i in range(300):
            profiles.profile({"x": i / 300 + len(rest)})
        rest.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert rest[-1] < 20 * 300
