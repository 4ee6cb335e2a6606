"""Progress of a search: a bar on a terminal or in a notebook, plain lines elsewhere."""

import html
import itertools
import logging
import math
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

from evo_moo.analysis.run_front import RunFront
from evo_moo.evaluation.pool import Pool
from evo_moo.evaluation.task import Outcome
from evo_moo.job.budget import Budget
from evo_moo.pareto import MOST_OBJECTIVES
from evo_moo.problem.fronts import Fronts
from evo_moo.problem.goals import ROWS_AT_A_TIME, Goals
from evo_moo.problem.points import made
from evo_moo.run.observer import n_evaluated
from evo_moo.storage.evaluation_row import FAILED, Evaluation
from evo_moo.storage.ledger import Ledger
from evo_moo.storage.log import Printable
from evo_moo.storage.run_boxes import Boxes, box_in_words, boxes_in_words
from evo_moo.text import printable

LOGGER = logging.getLogger("evo_moo")
FIRST_LINE_S, LINE_EVERY_S = 5.0, 60.0
"""Without a new generation a line is logged after so many seconds, and then after twice as many, up to the second."""
REDRAW_S = 0.3  # a bar in a notebook is drawn no more often


class Progress:
    """Counts outcomes, keeps the best value of each objective, and estimates when the search ends.

    Args:
        goals: Objectives and limits.
        before: Evaluations that ended before, in a run that goes on.
        budget: When the search ends.
        elapsed_s: Seconds that the run has searched before.
        ledger: Says what hypervolumes are shares of, and what was repeated; None leaves hypervolumes out.
    """

    def __init__(
        self,
        goals: Goals,
        before: Iterable[Evaluation] = (),
        budget: Budget | None = None,
        elapsed_s: float = 0.0,
        ledger: Ledger | None = None,
    ) -> None:
        self.goals, self._budget, self._elapsed_s = goals, budget or Budget(), elapsed_s
        self._ledger = ledger if 2 <= len(goals.views[0].objectives) <= MOST_OBJECTIVES else None
        self.n_done, self.n_failed, self.spent, self.best = 0, 0, 0.0, dict[str, float]()
        self._began_at = self._line_at = time.monotonic()
        self._line_every_s, self._n_running, self._per_generation = FIRST_LINE_S, 0, math.inf
        self._fronts = Fronts(goals)
        self._boxes: Boxes = tuple(None for _ in goals.views)
        self._repeats, self._last_id = False, 0
        rest = iter(before)
        while part := list(itertools.islice(rest, ROWS_AT_A_TIME)):
            self._add(part)
        self._spent_before = self.spent
        self._end_at = self._expected_end()
        self._look()

    def submitted(self, n: int) -> None:
        """Evaluations have begun: note whether configurations are repeated, which changes what is known of them."""
        self._n_running += n
        self._note_repeats()

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes; now and then log a line."""
        self._n_running -= n_evaluated(outcomes)
        self._add(outcomes)
        self._end_at = self._expected_end()
        self.say()

    def generation_ended(self, generation: int, n_asked: int) -> None:
        """Log a line."""
        self._look()
        self._per_generation = self.spent / generation
        self._end_at = self._expected_end()
        self._log(f"generation {generation}")

    def recorded(self) -> str:
        """Now and then log a line; return no reason to stop."""
        self.say()
        return ""

    def say(self) -> None:
        """Log a line, if there was none for long; another thread may call it while an evaluation runs in this one."""
        if time.monotonic() > self._line_at + self._line_every_s:
            self._line_every_s = min(2 * self._line_every_s, LINE_EVERY_S)
            self._log(f"{self._n_running} running" if self._n_running else "so far")

    def summary(self) -> str:
        """Return in a few words how many evaluations ended and failed, and the best values."""
        n_evals, whole = self._budget.n_evals, self.spent == self.n_done
        words = [f"{self.n_done} of {n_evals} evaluated" if n_evals and whole else f"{self.n_done} evaluated"]
        if not whole:
            words[0] += f" at the cost of {self.spent:.4g}{f' of {n_evals}' if n_evals else ''} full ones"
        if self.n_failed:
            words.append(f"{self.n_failed} failed")
        if any(self._boxes):
            volume = self._fronts.share([each and each.box for each in self._boxes])
            of = boxes_in_words([box_in_words(each) if each else "" for each in self._boxes])
            words.append(f"hypervolume {volume:.4g} of {of}")
        return ", ".join([*words, *(f"best {printable(name)} {value:.4g}" for name, value in list(self.best.items()))])

    @property
    def left_s(self) -> float:
        """Seconds until the expected end, by the pace so far; infinity where it cannot be estimated."""
        return max(0.0, self._end_at - time.monotonic())

    @property
    def left(self) -> str:
        """The same in words; empty where it cannot be estimated."""
        return f"{timedelta(seconds=round(self.left_s))} left" if self.left_s < math.inf else ""

    def _expected_end(self) -> float:
        """Return the monotonic time at which the first limit of the budget is reached."""
        now, budget, ends = time.monotonic(), self._budget, [math.inf]
        if budget.time_s is not None:
            ends.append(self._began_at + budget.time_s - self._elapsed_s)
        n_evals = min(budget.n_evals or math.inf, (budget.n_gen or math.inf) * self._per_generation)
        if self.spent > self._spent_before and n_evals < math.inf:
            pace_s = (now - self._began_at) / (self.spent - self._spent_before)
            ends.append(now + pace_s * (n_evals - self.spent))
        return min(ends)

    def _log(self, what: str) -> None:
        self._line_at = time.monotonic()
        LOGGER.info("%s: %s%s", what, self.summary(), f", about {self.left}" if self.left and self.left_s >= 1 else "")

    def _add(self, outcomes: Sequence[Outcome | Evaluation]) -> None:
        self.n_done += n_evaluated(outcomes)
        self.spent = sum((o.cost for o in outcomes), self.spent)
        self.n_failed += sum(o.status in FAILED for o in outcomes)
        offered = (metrics for o in outcomes if o.status == "ok" for metrics in made(o.offered))
        feasible = [metrics for metrics in offered if not self.goals.violation(metrics)]
        if not feasible:
            return
        self.best = self.goals.best_kept(feasible, self.best)
        if self._ledger is not None and not self._repeats:
            self._fronts.add(feasible)

    def _note_repeats(self) -> None:
        if self._ledger is not None and not self._repeats:
            last_id = self._ledger.last_id()
            self._repeats, self._last_id = self._ledger.has_replicates(self._last_id), last_id

    def _look(self) -> None:
        """Look up in the ledger what only it knows: the box of the hypervolume, and means over repetitions."""
        if self._ledger is not None:
            self._boxes = self._boxes if all(self._boxes) else self._ledger.facts().boxes_of(self.goals)
            self._note_repeats()
            if self._repeats:
                self._fronts.F = [view.archive for view in RunFront.of_ledger(self._ledger).views]


class _Bar(Progress):
    """Draws a bar, which is full at the expected end, and what is known so far."""

    def __init__(
        self,
        goals: Goals,
        before: Iterable[Evaluation],
        budget: Budget,
        elapsed_s: float,
        ledger: Ledger | None,
        pool: Pool,
    ) -> None:
        super().__init__(goals, before, budget, elapsed_s, ledger)
        self._pool = pool

    def submitted(self, n: int) -> None:
        """Redraw."""
        super().submitted(n)
        self._draw()

    def evaluated(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes and redraw."""
        super().evaluated(outcomes)
        self._draw()

    def _draw(self) -> None:
        passed_s = self._elapsed_s + time.monotonic() - self._began_at
        total_s = passed_s + self.left_s if self.left_s < math.inf else None
        n = self._pool.n_workers
        busy = f"{min(self._pool.running, n)} of {n} workers busy, " if n else "waits for workers, "
        self._draw_bar(passed_s, total_s, self.summary() if self._pool.is_immediate else busy + self.summary())

    def _draw_bar(self, passed_s: float, total_s: float | None, words: str) -> None:
        raise NotImplementedError


class _TerminalBar(_Bar):
    """Draws the bar by rich."""

    def __init__(self, *progress_of: Any) -> None:
        super().__init__(*progress_of)
        from rich import progress
        from rich.table import Column

        left, words = Column(no_wrap=True, min_width=12), Column(no_wrap=True, overflow="ellipsis", ratio=1)
        columns = (  # in a narrow terminal the words are cut
            progress.SpinnerColumn(),
            progress.BarColumn(bar_width=12),
            progress.TextColumn("{task.fields[progress].left}", table_column=left),
            progress.TextColumn("{task.description}", markup=False, table_column=words),
        )
        self.bar = progress.Progress(*columns, transient=True, expand=True)
        self._task = self.bar.add_task("", total=None, progress=self)

    def _draw_bar(self, passed_s: float, total_s: float | None, words: str) -> None:
        self.bar.update(self._task, completed=passed_s, total=total_s, description=words)  # None leaves it as it is


class _NotebookBar(_Bar):
    """Draws the bar as HTML below the cell of a notebook, over and over in the same place."""

    def __init__(self, *progress_of: Any) -> None:
        super().__init__(*progress_of)
        self._place: Any = None
        self._drawn_at = -math.inf

    def recorded(self) -> str:
        """Redraw, so that the time goes on."""
        self._draw()
        return super().recorded()

    def finish(self) -> None:
        """Draw how it ended."""
        self._drawn_at = -math.inf
        self._draw()

    def _draw_bar(self, passed_s: float, total_s: float | None, words: str) -> None:
        if time.monotonic() < self._drawn_at + REDRAW_S:
            return
        self._drawn_at = time.monotonic()
        text = ", ".join(filter(None, [self.left, words]))
        share = "" if total_s is None else f' value="{passed_s / max(total_s, 1e-9):.4f}"'
        data = {"text/plain": text, "text/html": f"<progress{share}></progress> {html.escape(text)}"}
        if self._place is None:
            self._place = sys.modules["IPython"].display.display(data, raw=True, display_id=True)
        else:
            self._place.update(data, raw=True)


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


@contextmanager
def _saying(progress: Progress) -> Iterator[None]:
    """Let lines be logged also while evaluations run in this thread."""
    ended = threading.Event()

    def say() -> None:
        while not ended.wait(1.0):
            progress.say()

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def shown_progress(
    goals: Goals,
    budget: Budget,
    before: Iterable[Evaluation],
    elapsed_s: float,
    pool: Pool,
    verbose: bool,
    ledger: Ledger | None = None,
) -> Iterator[Progress]:
    """Show progress while the block runs: a bar on a terminal or in a notebook, else lines on standard error.

    Args:
        goals: Objectives and limits.
        budget: The budget, for the expected end.
        before: Evaluations that ended before.
        elapsed_s: Seconds that the run has searched before.
        pool: Says how many workers are busy.
        verbose: Whether to show anything; the run's log file is written in any case.
        ledger: Says what hypervolumes are shares of; None leaves them out.
    """
    if not verbose:
        yield Progress(goals, before, budget, elapsed_s, ledger)
    elif is_notebook():
        drawn = _NotebookBar(goals, before, budget, elapsed_s, ledger, pool)
        try:
            yield drawn
        finally:
            drawn.finish()
    elif sys.stderr.isatty():
        bar = _TerminalBar(goals, before, budget, elapsed_s, ledger, pool)
        with bar.bar:
            yield bar
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(Printable())
        LOGGER.addHandler(handler)
        progress = Progress(goals, before, budget, elapsed_s, ledger)
        try:
            with _saying(progress) if pool.in_process else nullcontext():
                yield progress
        finally:
            LOGGER.removeHandler(handler)
