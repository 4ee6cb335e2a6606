"""What the main loop writes into the ledger and the log."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from evo_moo.analysis.fronts.first_boxes import fixed_boxes
from evo_moo.errors import SearchFailedError
from evo_moo.evaluation.latencies import Revision
from evo_moo.evaluation.task import USABLE, Outcome
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.protocol import AskTell
from evo_moo.problem.measurements import Measurement, Pooled
from evo_moo.problem.metrics import Metrics
from evo_moo.problem.points import Key, Point, evaluation_of, key_of, made, place_of_key
from evo_moo.run.termination import BudgetWatch
from evo_moo.storage.checkpoint import to_json
from evo_moo.storage.facts import State
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.run_boxes import boxes_to_json

NOT_EVALUATED = "told with its metrics, not evaluated here"
LOGGER = logging.getLogger("evo_moo")
LOGGER.addHandler(logging.NullHandler())


class Records:
    """Writes candidates, outcomes, generations, checkpoints and the state of a run.

    Args:
        ledger: Takes the records.
        optimizer: The search.
        budget: Knows how long the search has taken.
    """

    def __init__(self, ledger: Ledger, optimizer: AskTell, budget: BudgetWatch) -> None:
        self._ledger, self._optimizer, self._budget = ledger, optimizer, budget
        counts = ledger.counts()
        self._n_usable = sum(counts.get(status, 0) for status in USABLE)
        self._boxes = ledger.facts().boxes_of(optimizer.goals)
        has_ended = bool(counts) or ledger.n_told() > 0
        self._views_seen = set(range(len(self._boxes))) if has_ended else set[int]()  # where something was feasible

    def asked(self, candidates: Iterable[tuple[Candidate, int]]) -> None:
        """Record candidates, each with the seed of its evaluation, and the decisions that led to them."""
        self._ledger.record_asked(candidates)
        self.decisions()

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Record how evaluations ended."""
        self._n_usable += sum(outcome.status in USABLE for outcome in outcomes)
        self._ledger.record_outcomes(outcomes, self._optimizer.goals.violation)
        self._look_for_boxes(outcomes)
        for outcome in outcomes:
            if outcome.attempts > 1:
                self._ledger.record_event("retried", evaluation=outcome.id, attempts=outcome.attempts)
            if outcome.place:
                self._ledger.record_event("placed", evaluation=outcome.id, **outcome.place)
            self.measured(outcome)
            if outcome.status not in USABLE:
                LOGGER.warning("evaluation %d %s: %s", outcome.id, outcome.status, outcome.reason)

    def told(self, candidates: Sequence[tuple[Candidate, Metrics | list[Point]]]) -> list[Outcome]:
        """Record candidates that were measured elsewhere, with metrics or points, and return that as outcomes."""
        outcomes = [
            Outcome(c.id, "ok", {}, NOT_EVALUATED, attempts=0, cost=0.0, points=tuple(told))
            if isinstance(told, list)
            else Outcome(c.id, "ok", told, NOT_EVALUATED, attempts=0, cost=0.0)
            for c, told in candidates
        ]
        self.asked((candidate, 0) for candidate, _ in candidates)
        self._ledger.record_outcomes(outcomes, self._optimizer.goals.violation)
        self._look_for_boxes(outcomes)
        if outcomes:
            self._ledger.record_event("told", n=len(outcomes))
            LOGGER.info("begins with %d configurations that are told with their metrics", len(outcomes))
        return outcomes

    def _look_for_boxes(self, outcomes: Sequence[Outcome]) -> None:
        """Note in which contexts something is feasible that a box could be around."""
        offered = [metrics for o in outcomes if o.status == "ok" for metrics in made(o.offered)]
        for k, view in enumerate(self._optimizer.goals.views):
            if k not in self._views_seen and any(not view.violation(metrics) for metrics in offered):
                self._views_seen.add(k)

    def measured(self, outcome: Outcome, key: Key | None = None) -> None:
        """Record what an evaluation measured of its architecture, and what that says together with what was known.

        Args:
            outcome: How it ended.
            key: The evaluation, or its point, that was measured; by default that of the outcome, with all its points.
        """
        of_it = outcome.profile_measured_at, outcome.measurements, outcome.pooled
        self._measured(outcome.id if key is None else key, *of_it)
        for of_point in outcome.of_points:
            key = key_of(outcome.id, of_point.number)
            self._measured(key, of_point.measured_at, of_point.measurements, of_point.pooled)

    def _measured(self, key: Key, at: float, measurements: Sequence[Measurement], pooled: Pooled | None) -> None:
        evaluation, point = place_of_key(key)
        whose = {"evaluation": evaluation} | ({"point": point} if point else {})
        said = {} if pooled is None else pooled.to_record()
        if at:
            self._ledger.record_event("profile reused", **whose, measured_at=at, **said)
        if measurements:
            records = [measurement.to_record() for measurement in measurements]
            self._ledger.record_event("measured", **whose, measurements=records, **said)

    def revise(self, revisions: Sequence[Revision]) -> bool:
        """Let all evaluations of an architecture hold what its measurements say now; return whether some did not.

        It must be recorded together with a checkpoint: a search that is resumed goes on from values that it knew.
        """
        violation = self._optimizer.goals.violation
        for evaluations, pooled in revisions:
            self._ledger.revise({key: (metrics, violation(metrics)) for key, metrics in evaluations.items()})
            detail = {"evaluations": list(evaluations), "metrics": pooled.metrics}
            self._ledger.record_event("measured again", **detail, **pooled.to_record())
        self._views_seen |= set(range(len(self._boxes))) if revisions else set()
        ids = {evaluation_of(key) for evaluations, _ in revisions for key in evaluations}
        ended = self._ledger.of_ids(sorted(ids))
        if ended:
            self._optimizer.revise((e.training_id, np.frombuffer(e.x, dtype="<f8"), e.offered) for e in ended)
        return bool(ended)

    def checkpoint(self) -> None:
        """Replace the checkpoint by the optimizer's present state."""
        self._ledger.record_checkpoint(to_json(self._optimizer.dump(with_seen=False)))
        self._ledger.set_meta(elapsed_s=self._budget.elapsed_s)

    def generation(self) -> None:
        """Record the generation that has just ended, and what the run's hypervolumes are shares of from now on."""
        optimizer = self._optimizer
        ids = optimizer.population_ids(), optimizer.optimum_ids()
        self._ledger.record_generation(optimizer.generation, optimizer.n_asked, *ids)
        if any(self._boxes[k] is None for k in self._views_seen):  # else the long ledger has nothing to say
            self._boxes = fixed_boxes(self._ledger, optimizer.goals)
            if any(self._boxes):
                self._ledger.set_meta(hypervolume_box=boxes_to_json(self._boxes, optimizer.goals))
        self._budget.generation_ended(self._ledger)

    def decisions(self) -> None:
        """Record the optimizer's decisions since the last time."""
        for decision in self._optimizer.take_decisions():
            self._ledger.record_event(decision.kind, **decision.detail)

    def dropped_weights(self, evaluations: Sequence[int]) -> None:
        """Record the evaluations whose weights were removed for their size."""
        if evaluations:
            with self._ledger.transaction():
                self._ledger.record_event("weights dropped", evaluations=evaluations)

    def state(self, state: State, reason: str = "", /, **detail: Any) -> None:
        """Record that the run goes on, stops or ends."""
        detail |= {"reason": reason} if reason else {}
        with self._ledger.transaction():
            self._ledger.set_meta(state=state, elapsed_s=self._budget.elapsed_s)
            self._ledger.record_event(state, n_asked=self._optimizer.n_asked, **detail)
        counts = self._ledger.counts()
        n_ended = sum(counts.values()) - counts.get("asked", 0)
        LOGGER.info("%s after %d evaluations%s", state, n_ended, f": {reason}" if reason else "")

    def fail_if_all_failed(self, least: int) -> None:
        """End a run none of whose evaluations, at least ``least``, gave metrics.

        Raises:
            SearchFailedError: It is so.
        """
        if self._n_usable:
            return
        failed = list(self._ledger.failed())
        if len(failed) >= least:
            self.state("failed")
            first = failed[0]
            trace = f"\n{first.traceback.rstrip()}" if first.traceback else ""
            raise SearchFailedError(
                f"all of the first {len(failed)} evaluations failed, so there is nothing to search with; "
                f"evaluation {first.id}: {first.reason}{trace}"
            )
