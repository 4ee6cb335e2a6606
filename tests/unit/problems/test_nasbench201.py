import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evo_moo
from evo_moo.errors import ProblemError
from evo_moo.plugins import load_problem
from evo_moo.problem.contexts import at
from evo_moo.problem.goals import Goals
from evo_moo.space.designs import GridDesign

FILE = Path(__file__).parents[3] / "problems" / "nasbench201.py"
REFERENCE = f"{FILE}:NASBench201"
DATA = os.environ.get("EVO_MOO_DATA")
NAMES = ["edge_01", "edge_02", "edge_12", "edge_03", "edge_13", "edge_23"]


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("EVO_MOO_DATA", raising=False)


@pytest.fixture(scope="module")
def module():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EVO_MOO_DATA", raising=False)
        return sys.modules[type(load_problem(REFERENCE)).__module__]


def everything(problem, goals):
    configurations = problem.space.decode(GridDesign(problem.space, 1).rows(0, 20_000))
    metrics = [problem.compute(c) | problem.evaluate(c) for c in configurations]
    return goals.F([m for m in metrics if goals.violation(m) == 0])


def test_the_front_is_what_a_comparison_with_every_cell_leaves():
    problem = load_problem(REFERENCE, {"devices": ["made_up_cpu", "made_up_gpu"]})
    limits = {"params_m": {"at_most": 0.5}}
    goals = Goals.declared({"accuracy": "max", at("latency_ms", "made_up_gpu"): "min"}, limits)
    F = everything(problem, goals)
    front = problem.pareto_front(goals)
    dominated = [((row >= F).all(axis=1) & (row > F).any(axis=1)).any() for row in front]
    assert not any(dominated) and len(front) > 10
    assert all(((front <= row).all(axis=1)).any() for row in F)
    assert problem.pareto_front().shape[1] == 3
    assert problem.pareto_front(Goals.declared({"accuracy": "max", "energy": "min"}, {})) is None


def test_problem_without_data_is_a_demonstration_and_says_so():
    problem = load_problem(REFERENCE)
    assert list(problem.objectives) == ["accuracy", "latency_ms"]
    assert all("made up" in problem.metrics[name].description for name in problem.objectives)


@pytest.mark.slow
def test_result_has_the_share_of_the_true_hypervolume(tmp_path):
    budget = ("n_evals", 60)
    result = evo_moo.search(REFERENCE, termination=budget, surrogate="none", workers=1, run_dir=tmp_path / "r")
    F, front = result.F, result.true_front
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    ref = nadir + 0.1 * (nadir - ideal)
    by_hand = [volume_2d(points[(points < ref).all(axis=1)], ref) for points in (F, front)]
    assert result.share_of_true_hypervolume() == pytest.approx(by_hand[0] / by_hand[1])
    assert 0.3 < by_hand[0] / by_hand[1] < 1


def volume_2d(points, ref):
    total, bound = 0.0, ref[1]
    for x, y in sorted(map(tuple, points)):
        if y < bound:
            total, bound = total + (ref[0] - x) * (bound - y), y
    return total


@pytest.mark.slow
def test_four_objectives_end_with_a_front_that_spreads():
    result = evo_moo.search(
        REFERENCE,
        "nsga3",
        56,
        ("n_evals", 600),
        seed=2,
        workers=1,
        surrogate="none",
        objectives={"accuracy": "max", **dict.fromkeys(["latency_ms", "flops_m", "params_m"], "min")},
    )
    covered = np.ptp(result.F, axis=0) / np.ptp(result.true_front, axis=0)
    assert (covered > 0.6).all() and result.share_of_true_hypervolume() > 0.9


def test_fidelity_is_200_or_12_epochs_and_nothing_else():
    problem = load_problem(REFERENCE)
    cell = dict.fromkeys(NAMES, "nor_conv_3x3")
    assert problem.evaluate(cell) == problem.evaluate(cell, fidelity=200) != problem.evaluate(cell, fidelity=12)
    with pytest.raises(ProblemError, match="`fidelity` must be one of 12, 200, but is 50"):
        problem.evaluate(cell, fidelity=50)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"dataset": "mnist"}, "`dataset` must be of cifar10, cifar100, ImageNet16-120, but is 'mnist'"),
        ({"devices": ["made_up_cpu", "phone"]}, "`devices` must be of made_up_cpu, made_up_gpu, but is 'phone'"),
        ({"data": "nowhere.npz"}, "there is no `nowhere.npz`; name it by an option, or its folder by EVO_MOO_DATA"),
        ({"data": str(FILE)}, "must be a table of NAS-Bench-201, but cannot be read"),
    ],
)
def test_wrong_options_are_refused_with_the_way_out(options, fault):
    with pytest.raises(ProblemError, match=fault):
        load_problem(REFERENCE, options)


def test_a_folder_without_the_table_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("EVO_MOO_DATA", str(tmp_path))
    with pytest.raises(ProblemError, match=f"no `{tmp_path}/nasbench201.npz`"):
        load_problem(REFERENCE)


def official(module):
    """What stands for the official API: the made-up table by its methods, the cells in another order."""
    table = module.made_up_table()
    order = np.random.default_rng(0).permutation(len(module.CELLS))
    cells = [[module.OPS[op] for op in module.CELLS[i]] for i in order]
    datasets = table["datasets"].tolist()

    def more_info(i, dataset, hp, is_random):
        assert not is_random
        return {"test-accuracy": table[f"test_acc_{hp}"][order[i], datasets.index(dataset)]}

    def cost_info(i, dataset):
        column = datasets.index(dataset)
        sizes = {key: table[f"{key}_m"][order[i], column] for key in ("params", "flops")}
        return sizes | {"latency": table["latency_ms"][order[i], 0] / 1000}

    texts = ["|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*cell) for cell in cells]
    return SimpleNamespace(meta_archs=texts, get_more_info=more_info, get_cost_info=cost_info)


def test_table_of_the_official_api_has_the_values_of_every_cell(module, tmp_path):
    module.write_table(official(module), tmp_path / "nasbench201.npz")
    one = load_problem(REFERENCE, {"dataset": "cifar100"})
    two = load_problem(REFERENCE, {"dataset": "cifar100", "data": str(tmp_path / "nasbench201.npz")})
    assert list(two.objectives) == ["accuracy", "latency_ms"] and one.version != two.version
    for config in one.space.decode(one.space.sample(50, np.random.default_rng(1))):
        assert one.evaluate(config, fidelity=12) == two.evaluate(config, fidelity=12)
        assert list(one.compute(config).values()) == pytest.approx(list(two.compute(config).values()))


@pytest.mark.skipif(not DATA, reason="needs EVO_MOO_DATA")
def test_the_real_fronts_have_the_known_sizes_and_ends(monkeypatch):
    monkeypatch.setenv("EVO_MOO_DATA", DATA or "")
    best = {"cifar10": 94.373, "cifar100": 73.513, "ImageNet16-120": 47.311}
    for device, sizes in (("gold_6226", (36, 50, 42)), ("fpga", (13, 15, 16)), ("titan_rtx_256", (43, 47, 47))):
        for (dataset, accuracy), size in zip(best.items(), sizes, strict=True):
            front = load_problem(REFERENCE, {"dataset": dataset, "devices": device}).pareto_front()
            assert len(front) == size and -front[:, 0].min() == pytest.approx(accuracy, abs=1e-3)
