"""One search for several devices on the made-up table of NAS-Bench-201: fronts of a device that it did not see."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from evo_moo.problems.nasbench201 import CELLS, NASBench201, made_up_table
from scipy.stats import spearmanr

import evo_moo
from evo_moo.pareto import hypervolume, pareto_rows
from evo_moo.toolkit.devices.device import Device
from evo_moo.toolkit.devices.latency_net import features_of, train_latency_net
from evo_moo.toolkit.modnas.decisions import Decisions
from evo_moo.toolkit.modnas.fronts import Fronts, find_fronts
from evo_moo.toolkit.modnas.predictor import fit_ensemble
from evo_moo.toolkit.modnas.readout import read_out, sampled_read_out
from evo_moo.toolkit.modnas.search import Settings

pytestmark = pytest.mark.slow
REFERENCES = np.random.default_rng(3).permutation(len(CELLS))[:10]
REFERENCES[:2] = 0, len(CELLS) // 4


class Case(NamedTuple):
    fronts: Fronts
    unseen: Device
    table: np.ndarray
    labels: np.ndarray

    def volume(self, rows: Any) -> float:
        """Hypervolume on the device that the search did not see, as a share of the whole table's."""
        scaled = (self.table - self.table.min(axis=0)) / np.ptp(self.table, axis=0)
        front = scaled[pareto_rows(scaled, np.zeros(len(scaled)))]
        return hypervolume(scaled[rows], (1, 1)) / hypervolume(front, (1, 1))


def rows_of(X: np.ndarray) -> np.ndarray:
    return np.ravel_multi_index(X.astype(int).T, (5,) * 6)


@pytest.fixture(scope="module")
def case() -> Case:
    """Predictors of 200 labels and two known devices; a third one has more of the costs of both."""
    table, space = made_up_table(), NASBench201().space
    known_ms, error = table["latency_ms"], 100 - table["test_acc_200"][:, 0]
    unseen_ms = 0.7 * known_ms[:, 0] + 1.3 * known_ms[:, 1]
    cpu, gpu, unseen = (
        Device(name, tuple(ms[REFERENCES])) for name, ms in zip("cgu", [*known_ms.T, unseen_ms], strict=True)
    )
    one_hots = Decisions(space).one_hots(CELLS)
    labels = np.random.default_rng(0).permutation(len(CELLS))[:200]
    latency = train_latency_net(one_hots[labels].numpy(), known_ms[labels], [cpu, gpu], steps=600)
    ensemble = fit_ensemble(one_hots[labels], np.log(error[labels]), seed=0, steps=300)
    fronts = find_fronts(space, [ensemble, latency], [cpu, gpu], settings=Settings(steps=150), seed=0)
    return Case(fronts, unseen, np.column_stack([error, unseen_ms]), labels)


def test_an_unseen_device_has_a_front_without_training(case: Case) -> None:
    fronts, features = case.fronts, features_of(case.unseen)
    by_arg_max = read_out(fronts.hypernetwork, fronts.decisions, features)
    by_samples = sampled_read_out(fronts.hypernetwork, fronts.decisions, fronts.losses, features)
    random = [case.volume(np.random.default_rng(seed).permutation(len(CELLS))[:24]) for seed in range(5)]
    assert by_arg_max.n_unique >= 6
    for X in (by_arg_max.X, by_samples.X):
        assert case.volume(rows_of(X)) > max(max(random) + 0.08, case.volume(case.labels))
    best = fronts.decisions.space.encode(fronts.best(case.unseen))
    assert case.volume(rows_of(best)) > 0.95


def test_a_larger_weight_of_latency_means_a_faster_cell(case: Case) -> None:
    found = read_out(case.fronts.hypernetwork, case.fronts.decisions, features_of(case.unseen))
    for column in (0, 1):
        values = case.table[rows_of(found.X), column]
        assert spearmanr(found.preferences[:, column], values).statistic < -0.6


def test_a_search_starts_from_what_is_recommended(case: Case) -> None:
    space, start = case.fronts.decisions.space, case.fronts.start([case.unseen], 12)

    def look_up(config: dict[str, Any]) -> dict[str, float]:
        error, latency_ms = case.table[rows_of(space.encode([config]))[0]]
        return {"error": float(error), "latency_ms": float(latency_ms)}

    objectives, common = {"error": "min", "latency_ms": "min"}, {"surrogate": "none", "pop_size": 12, "workers": 1}
    warm, cold = (
        [
            e.configuration
            for e in evo_moo.search(
                look_up,
                variables=space.variables,
                objectives=objectives,
                start=first,
                termination=("n_evals", n),
                **common,
            ).evaluations
        ]
        for first, n in ((start, 12), ((), 48))
    )
    assert warm == start
    assert case.volume(rows_of(space.encode(warm))) > case.volume(rows_of(space.encode(cold)))
