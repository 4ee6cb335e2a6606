"""A user's own reaction to a search: to each evaluation that ended, and to each generation.

    class Best(evo_moo.Callback):
        def on_evaluation(self, run, evaluation):
            if evaluation.feasible:
                print(evaluation.id, evaluation.metrics)

    evo_moo.search("digits_cnn", callbacks=[Best()])

- Callbacks are called in this process, in the order of the list, once an evaluation or a generation is recorded.
  Workers continue meanwhile, but nothing new is asked for: be quick.
- A callback sees a run whole. Where a run is resumed, or was finished already, it is first called for all that is
  recorded, in the order of ids, each generation after its evaluations, with ``run.is_replay`` set; then for all that
  follows. So it needs no state of its own to continue after a kill. It is called once for each evaluation that ended.
- A callback that raises stops nothing and loses nothing: the fault is written to the log and to the ledger's events;
  after three failures in a row, or one in ``on_begin``, it is called no more. To stop the search, raise
  ``RunStoppedError``: it then ends as by a signal, and can be resumed.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

from evo_moo.errors import RunStoppedError
from evo_moo.evaluation.task import Outcome
from evo_moo.run.observer import Observer
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts, State
from evo_moo.storage.ledger import Ledger

LOGGER = logging.getLogger("evo_moo")
MOST_FAILURES = 3
BEGINNING = "the beginning"


class Callback:
    """Parent of all callbacks: override the methods that you need; the module says when they are called."""

    def on_begin(self, run: RunFacts) -> None:
        """A search begins or goes on."""

    def on_evaluation(self, run: RunFacts, evaluation: Evaluation) -> None:
        """An evaluation ended, well or not: see its ``status``."""

    def on_generation(self, run: RunFacts, generation: int, population: list[Evaluation]) -> None:
        """A generation ended; the population is what selection left, in steady state after ``pop_size`` outcomes."""

    def on_end(self, run: RunFacts, state: State) -> None:
        """The search ended: ``"finished"``, ``"stopped"``, ``"failed"``, or ``"running"`` after any other error."""


class Reactions:
    """Calls callbacks with what is recorded, while its block runs; as an observer it passes all on to another one.

    Args:
        callbacks: The callbacks.
        run: The run's facts.
        ledger: Its ledger.
    """

    def __init__(self, callbacks: Sequence[Callback], run: RunFacts, ledger: Ledger) -> None:
        self._callbacks, self._failures = list(callbacks), [0] * len(callbacks)
        self._run, self._ledger = run, ledger
        self._evaluations: list[int] = []
        self._has_new_generations, self._last_generation = False, 0
        self._stop = ""

    def beside(self, observer: Observer) -> Observer:
        """Return the observer for the engine: ``observer`` alone where there are no callbacks."""
        self._observer = observer
        return self if self._callbacks else observer

    def submitted(self, n: int) -> None:
        """Pass the number on."""
        self._observer.submitted(n)

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Pass outcomes on, and keep their ids for the callbacks."""
        self._observer.evaluated(outcomes)
        self._evaluations += [outcome.id for outcome in outcomes]

    def generation_ended(self, generation: int, n_asked: int) -> None:
        """Pass the generation on, and keep it for the callbacks."""
        self._observer.generation_ended(generation, n_asked)
        self._has_new_generations = True

    def recorded(self) -> str:
        """Call the callbacks with all that was kept; return the reason to stop, if one has any."""
        ids, self._evaluations = self._evaluations, []
        for evaluation in self._ledger.of_ids(ids):
            self._on_evaluation(evaluation)
        if self._has_new_generations:
            self._has_new_generations = False
            if not all(self._run.boxes):
                self._run = self._ledger.facts()
            for generation, _, population, _ in self._ledger.generations(self._last_generation):
                self._on_generation(generation, self._ledger.of_ids(population))
        stop, self._stop = self._stop, ""
        return stop

    def __enter__(self) -> Self:
        """Call the callbacks for the beginning, and for all that is recorded already."""
        if not self._callbacks:
            return self
        self._call("on_begin", BEGINNING)
        self._run = replace(self._run, is_replay=True)
        ended = self._ledger.ended()
        waiting = next(ended, None)
        for generation, n_asked, population, _ in self._ledger.generations():
            while waiting and waiting.training_id <= n_asked:
                self._on_evaluation(waiting)
                waiting = next(ended, None)
            self._on_generation(generation, [e for e in self._ledger.of_ids(population) if e.status != "asked"])
        while waiting:
            self._on_evaluation(waiting)
            waiting = next(ended, None)
        self._run = replace(self._run, is_replay=False)
        return self

    def __exit__(self, *_: object) -> None:
        """Call the callbacks for the end."""
        if self._callbacks:
            self._call("on_end", "the end", self._ledger.facts().state)

    def _on_evaluation(self, evaluation: Evaluation) -> None:
        self._call("on_evaluation", f"evaluation {evaluation.id}", evaluation)

    def _on_generation(self, generation: int, population: list[Evaluation]) -> None:
        self._last_generation = generation
        self._call("on_generation", f"generation {generation}", generation, population)

    def _call(self, method: str, at: str, *arguments: Any) -> None:
        for i, callback in enumerate(self._callbacks):
            if self._failures[i] == MOST_FAILURES or getattr(type(callback), method) is getattr(Callback, method):
                continue
            try:
                getattr(callback, method)(self._run, *arguments)
                self._failures[i] = 0
            except RunStoppedError as error:
                self._stop = f"{type(callback).__name__} at {at}: {error}"
            except Exception as error:
                self._failed(i, at, error)

    def _failed(self, i: int, at: str, error: Exception) -> None:
        self._failures[i] = MOST_FAILURES if at == BEGINNING else self._failures[i] + 1
        name, last = type(self._callbacks[i]).__name__, self._failures[i] == MOST_FAILURES
        ending = "; it is called no more" if last else ""
        fault = f"{type(error).__name__}: {error}"
        LOGGER.warning("callback %s failed at %s: %s%s", name, at, fault, ending, exc_info=error)
        with self._ledger.transaction():
            self._ledger.record_event("callback failed", callback=name, at=at, fault=fault, dropped=last)
