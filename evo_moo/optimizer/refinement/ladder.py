"""The evaluations on a ladder of fidelities: those that are planned, those that run, and how the others ended."""

from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from evo_moo.optimizer.candidate import Candidate
from evo_moo.problem.goals import Goals
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Offered, in_pairs, made, mean_offer, of_state, to_state


class Step(NamedTuple):
    """One evaluation on the ladder.

    Attributes:
        candidate: Id of the inner optimizer's candidate.
        rung: Number of the rung, 0 for the lowest.
        replicate: Number of the replicate, 0 for the first training.
        source: Id of the evaluation that is promoted or replicated by this one, 0 on the lowest rung.
    """

    candidate: int = 0
    rung: int = 0
    replicate: int = 0
    source: int = 0


class Standing(NamedTuple):
    """Where a candidate stands: its evaluation on the highest rung that it reached, replicates aside.

    Attributes:
        key: Id of the evaluation.
        rung: Number of the rung.
        is_top: Whether that is the highest one.
        offered: How it ended; None if it failed, was stopped, or is awaited.
        expected: The metrics that were expected of its end, if it was stopped early.
        is_awaited: Whether it has not ended.
        is_barred: Whether it is not to be promoted: it failed, or breaks a limit for good.
    """

    key: int
    rung: int
    is_top: bool
    offered: Offered | None
    expected: Metrics | None
    is_awaited: bool
    is_barred: bool


class Ladder:
    """Records what is evaluated on which rung, with which outcome and at which cost.

    Args:
        goals: Objectives and limits.
        rungs: Growing fidelities, the last one full.
        cheap: Names of metrics that do not depend on the fidelity: what breaks a limit on one is not promoted.
        continues: Whether an evaluation goes on from the weights that the rung below saved.

    Attributes:
        top: Number of the highest rung.
    """

    def __init__(self, goals: Goals, rungs: Sequence[int], cheap: Collection[str], continues: bool) -> None:
        self.goals, self.rungs, self.top = goals, tuple(rungs), len(rungs) - 1
        self._cheap, self._continues = set(cheap), continues
        self._planned: list[Step] = []
        self._steps: list[Step] = []  # those that began; ids count from 1
        self._units = 0.0  # begun and not spared, in steps of the fidelity
        self._results: dict[int, Offered | None] = {}
        self._known: set[int] = set()  # those that were measured elsewhere
        self._stopped: dict[int, tuple[Metrics, float]] = {}  # expected metrics, and the share that was done
        self._last: dict[int, int] = {}  # candidate to its evaluation on its highest rung
        self._replicates: dict[int, list[int]] = {}
        self._compared: list[list[int]] = [[] for _ in self.rungs]
        self._promoted: list[set[int]] = [set() for _ in self.rungs]

    @property
    def n_asked(self) -> int:
        """Number of evaluations that began."""
        return len(self._steps)

    @property
    def n_planned(self) -> int:
        """Number of evaluations that are planned."""
        return len(self._planned)

    def affords(self, n_evals: int) -> bool:
        """Return whether the next evaluation keeps the cost within ``n_evals`` full ones."""
        following = self._planned[0] if self._planned else Step()
        return self._units + self._units_of(following) <= n_evals * self.rungs[-1] + 1e-6

    def plan(self, steps: Iterable[Step]) -> None:
        """Note evaluations that are decided upon; what they promote waits no more."""
        for step in steps:
            self._planned.append(step)
            self._note_promotion(step)

    def next_planned(self) -> Step | None:
        """Take the next evaluation off the plan; None if there is none."""
        return self._planned.pop(0) if self._planned else None

    def begin(self, step: Step) -> int:
        """Note an evaluation that begins, and return its id."""
        self._steps.append(step)
        self._units += self._units_of(step)
        if step.replicate:
            self._replicates.setdefault(step.candidate, []).append(self.n_asked)
        else:
            self._last[step.candidate] = self.n_asked
            self._note_promotion(step)
        return self.n_asked

    def take(self, candidate: int, offered: Offered | None) -> int:
        """Note a candidate that was measured elsewhere, on the top rung and at no cost; return its evaluation's id.

        It is compared with none: it was on no rung below.
        """
        self._steps.append(Step(candidate, self.top))
        self._known.add(self.n_asked)
        self._last[candidate] = self.n_asked
        self._results[self.n_asked] = offered
        return self.n_asked

    def end(self, key: int, offered: Offered | None) -> None:
        """Note how an evaluation ended, None of a failure; of one that was stopped nothing changes."""
        if key in self._stopped:
            return
        self._results[key] = offered
        step = self.step(key)
        if not step.replicate and key not in self._known and not self._is_barred(offered):
            insort(self._compared[step.rung], key)

    def revise(self, key: int, offered: Offered) -> None:
        """Replace what an evaluation offers that ended well."""
        if self._results.get(key) is not None:
            step = self.step(key)
            if key in self._compared[step.rung]:
                self._compared[step.rung].remove(key)
            self.end(key, offered)

    def stop(self, key: int, expected: Metrics, share: float) -> None:
        """Note that an evaluation was stopped after this share of it, and the metrics expected of its end."""
        self._stopped[key], self._results[key] = (expected, share), None
        self._units -= (1 - share) * self._units_of(self.step(key))

    def evaluation(self, key: int, base: Candidate) -> Candidate:
        """Return the evaluation as a candidate; ``base`` is the inner optimizer's."""
        step = self.step(key)
        is_top = step.rung == self.top
        if key in self._known:
            return base._replace(id=key, fidelity=self.rungs[-1])
        return base._replace(
            id=key,
            origin="replicate" if step.replicate else "promotion" if step.rung else base.origin,
            parents=tuple(self._last[parent] for parent in base.parents),
            prediction=base.prediction if is_top else None,
            fidelity=self.rungs[step.rung],
            is_partial=not is_top,
            replicate=step.replicate,
            continues=step.source or None,
            cost=self._units_of(step) / self.rungs[-1],
        )

    def step(self, key: int) -> Step:
        """Return an evaluation's place on the ladder."""
        return self._steps[key - 1]

    def standing(self, candidate: int) -> Standing:
        """Return where a candidate stands."""
        key = self._last[candidate]
        rung, offered = self.step(key).rung, self._results.get(key)
        expected = self._stopped[key][0] if key in self._stopped else None
        is_awaited, is_barred = key not in self._results, self._is_barred(offered)
        return Standing(key, rung, rung == self.top, offered, expected, is_awaited, is_barred)

    def awaited(self) -> list[int]:
        """Return the evaluations that run."""
        return [key for key in range(1, self.n_asked + 1) if key not in self._results]

    def is_awaited(self, key: int) -> bool:
        """Return whether an evaluation of this id runs."""
        return 1 <= key <= self.n_asked and key not in self._results

    def lacks(self, key: int) -> bool:
        """Return whether the outcome of an evaluation that began is not known, or was stopped."""
        return key <= self.n_asked and (key not in self._results or key in self._stopped)

    def compared(self, rung: int) -> Sequence[int]:
        """Return the evaluations on a rung that ended well, in the order of their ids."""
        return self._compared[rung]

    def promoted(self, rung: int) -> Collection[int]:
        """Return the evaluations on a rung that were promoted."""
        return self._promoted[rung]

    def waiting(self, rung: int, candidates: Iterable[int]) -> set[int]:
        """Return the evaluations on a rung that may be promoted, of these candidates."""
        return {self._last[candidate] for candidate in candidates} & set(self._compared[rung]) - self._promoted[rung]

    def stopped_on(self, rung: int) -> list[int]:
        """Return the evaluations on a rung that were stopped early."""
        return sorted(key for key in self._stopped if self.step(key).rung == rung)

    def sources(self) -> list[int]:
        """Return the evaluations that those which run or are planned go on from."""
        steps = [*(self.step(key) for key in self.awaited()), *self._planned]
        return [step.source for step in steps if step.source]

    def has_replicates(self, candidate: int) -> bool:
        """Return whether a candidate's training was begun with other seeds."""
        return candidate in self._replicates

    def is_done(self, candidate: int) -> bool:
        """Return whether no evaluation of a candidate is planned, and no replicate runs."""
        planned = any(step.candidate == candidate for step in self._planned)
        return not planned and all(key in self._results for key in self._replicates.get(candidate, []))

    def mean(self, candidate: int) -> Offered:
        """Return the means of what a candidate's evaluations offer on the top rung that ended well."""
        results = [self._results.get(key) for key in (self._last[candidate], *self._replicates.get(candidate, []))]
        return mean_offer([offered for offered in results if offered and not self._is_barred(offered)])

    def metrics(self, keys: Iterable[int]) -> list[tuple[int, Metrics]]:
        """Return the ids of evaluations that ended well, each with the metrics of every point that it offers."""
        return [(key, metrics) for key in keys for metrics in made(self._results[key] or {})]

    def pairs(self, rung: int, upper: int) -> tuple[list[Metrics], list[Metrics]]:
        """Return the metrics, on a rung and on an upper one, of the candidates that ended well on the upper one.

        Points are paired by their choices.
        """
        pairs = list[tuple[Metrics, Metrics]]()
        for high in self._compared[upper]:
            low = high
            for _ in range(rung, upper):
                low = self.step(low).source
            pairs += in_pairs(self._results[low] or {}, self._results[high] or {})
        return [low for low, _ in pairs], [high for _, high in pairs]

    def dump(self, with_results: bool) -> dict[str, Any]:
        """Return the state as plain data and arrays; ``end`` is to take the results that are left out."""
        return {
            "steps": np.array(self._steps, dtype="<i8").reshape(-1, len(Step._fields)),
            "stopped": [[key, *how] for key, how in self._stopped.items()],
            "results": [[key, to_state(each)] for key, each in self._results.items()] if with_results else [],
            "known": sorted(self._known),
            "queue": [list(step) for step in self._planned],
        }

    def loaded(self, state: Mapping[str, Any]) -> Self:
        """Return a ladder of the same rungs with a dumped state."""
        ladder = type(self)(self.goals, self.rungs, self._cheap, self._continues)
        known = set(state.get("known", []))
        for key, step in enumerate(state["steps"].tolist(), 1):
            if key in known:
                del ladder._results[ladder.take(step[0], None)]
            else:
                ladder.begin(Step(*step))
        for key, expected, share in state["stopped"]:
            ladder.stop(key, expected, share)
        for key, saved in state["results"]:
            ladder.end(key, of_state(saved))
        ladder.plan(Step(*step) for step in state["queue"])
        return ladder

    def _units_of(self, step: Step) -> int:
        spared = self.rungs[step.rung - 1] if self._continues and step.rung and not step.replicate else 0
        return self.rungs[step.rung] - spared

    def _note_promotion(self, step: Step) -> None:
        if step.rung and not step.replicate:
            self._promoted[step.rung - 1].add(step.source)

    def _is_barred(self, offered: Offered | None) -> bool:
        return not any(map(self._may_go_on, made(offered or {})))

    def _may_go_on(self, metrics: Metrics) -> bool:
        cheap = {name: metrics[name] for name in self._cheap & metrics.keys()}
        return self.goals.has_objectives(metrics) and not self.goals.broken_limits(cheap)
