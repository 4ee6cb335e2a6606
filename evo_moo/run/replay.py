"""What is known already, so that nothing is evaluated twice: after a kill, and from earlier runs."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evo_moo.errors import StateError
from evo_moo.evaluation.task import USABLE, Outcome
from evo_moo.job.start import Told
from evo_moo.optimizer.candidate import Candidate
from evo_moo.optimizer.protocol import AskTell
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import Offered, made, of_state
from evo_moo.run.records import Records
from evo_moo.run.tasks import Tasks
from evo_moo.storage.checkpoint import from_json
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.reading import guarded_reads
from evo_moo.storage.run_folder import RunFolder
from evo_moo.values import json_key


class Replay:
    """Evaluations that the ledger holds beyond the checkpoint, and outcomes of earlier runs.

    Args:
        folder: The run folder.
        pending: Candidates of the checkpoint that have no outcome there: they are asked for again, first.
        n_asked: Number of candidates asked for up to the checkpoint.
    """

    def __init__(self, folder: RunFolder, pending: Sequence[Candidate], n_asked: int) -> None:
        ledger, self._path, self._pending = folder.ledger, folder.path, list(pending)
        with guarded_reads(folder.path):
            self._recorded = {e.training_id: e for e in ledger.open_after(n_asked)}
            known = ledger.facts().known_outcomes
            self._earlier: dict[str, Mapping[str, Any]] = {json_key(e["configuration"]): e for e in known}
            self.n_ended = sum(e.status != "asked" for e in self._recorded.values())
            self._curves = ledger.curves() if self.n_ended else {}
        self.n_again = len(self._recorded) - self.n_ended

    def take_pending(self, n: int) -> list[Candidate]:
        """Return up to ``n`` candidates that were being evaluated when the run ended, once each."""
        taken, self._pending = self._pending[:n], self._pending[n:]
        return taken

    def is_recorded(self, candidate: Candidate) -> bool:
        """Return whether the ledger has this candidate as asked for.

        Raises:
            StateError: It has another configuration under this id.
        """
        if candidate.id not in self._recorded:
            return False
        recorded = self._recorded[candidate.id]
        with guarded_reads(self._path):
            before = recorded.configuration
        now = json_key(candidate.configuration)
        if (json_key(before), recorded.fidelity) != (now, candidate.fidelity):
            raise StateError(
                f"evaluation {candidate.id} must be the configuration in the ledger, {before}, but the search now "
                f"asks for {candidate.configuration}; the problem or a library has changed since: start a new run"
            )
        return True

    def take_ended(self, candidates: Iterable[Candidate]) -> list[Outcome]:
        """Return the outcomes that the ledger has of candidates, once each."""
        recorded = [self._recorded.pop(c.id) for c in candidates if c.id in self._recorded]
        return [
            Outcome(e.training_id, e.status, e.metrics, e.reason, curve=self._curves.get(e.training_id))._replace(  # type: ignore[arg-type]
                points=tuple(e.offered.values()) if e.points else ()
            )
            for e in recorded
            if e.status != "asked"
        ]

    def earlier_outcome(self, candidate: Candidate) -> Outcome | None:
        """Return the outcome of a candidate's configuration in an earlier run, if the search knows one."""
        earlier = self._earlier_of(candidate)
        if not earlier:
            return None
        offered: Offered = of_state(earlier["metrics"]) or {}
        metrics, points = (dict(offered[0].metrics), ()) if 0 in offered else ({}, tuple(offered.values()))
        now, reason = time.time(), earlier["reason"]
        return Outcome(candidate.id, "ok", metrics, reason, started_at=now, attempts=0, points=points)

    def earlier_seed(self, candidate: Candidate) -> int | None:
        """Return the seed that a candidate's configuration had in an earlier run; None if there is none."""
        return self._earlier_of(candidate).get("seed")

    def _earlier_of(self, candidate: Candidate) -> Mapping[str, Any]:
        if not self._earlier or candidate.fidelity is not None or candidate.replicate:
            return {}
        return self._earlier.get(json_key(candidate.configuration), {})


def load_checkpoint(folder: RunFolder, optimizer: AskTell, tasks: Tasks) -> bool:
    """Bring a search to where the ledger's checkpoint stands; return whether there is one.

    Raises:
        StateError: The checkpoint is damaged, or belongs to another search.
    """
    ledger = folder.ledger
    saved = ledger.checkpoint()
    if saved is None:
        return False
    try:
        state = from_json(saved)
        n_asked = state["n_asked"]
        if (n := ledger.n_up_to(n_asked)) != n_asked:
            raise ValueError(f"it is after {n_asked} evaluations, of which there are {n}")
        optimizer.load(state, seen=(np.frombuffer(x, dtype="<f8") for x in ledger.encoded_rows(n_asked)))
        ended = ledger.ended()
        optimizer.recall(
            (e.training_id, np.frombuffer(e.x, dtype="<f8"), e.offered if e.status in USABLE else None) for e in ended
        )
        tasks.recall(ledger, optimizer.n_asked)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        way_out = f"; `evo-moo doctor {folder.path} --repair` drops a damaged one, and all outcomes are kept"
        raise StateError(f"the checkpoint must fit this search, but: {error}{way_out}") from error
    return True


def take_told(told: Sequence[Told], optimizer: AskTell, replay: Replay, records: Records) -> list[Outcome]:
    """Begin a search with what was measured elsewhere, recorded with a checkpoint after it.

    Returns:
        The outcomes that are new in the ledger.
    """
    taken = [(optimizer.tell(*each), each.outcome) for each in told]
    candidates = {candidate.id: (candidate, outcome) for candidate, outcome in taken if candidate is not None}
    new = [(candidate, outcome) for candidate, outcome in candidates.values() if not replay.is_recorded(candidate)]
    replay.take_ended([candidate for candidate, _ in candidates.values()])
    outcomes = records.told(new)
    if candidates:
        records.checkpoint()
    return outcomes


def ended_evaluations(folder: RunFolder, goals: Goals) -> Iterator[Evaluation]:
    """Read the evaluations that ended before.

    Raises:
        RunFolderError: One is damaged: an objective is missing.
    """
    with guarded_reads(folder.path):
        for e in folder.ledger.ended():
            if e.status in ("ok", "partial") and not all(map(goals.has_objectives, made(e.offered))):
                raise LookupError(f"evaluation {e.id} lacks an objective")
            yield e
