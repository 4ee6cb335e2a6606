"""A callback that writes a search for TensorBoard: ``pip install '.[tensorboard]'``.

``evaluation/METRIC`` and ``time/duration_s`` over the ids of evaluations, of those with points ``point_N/METRIC`` for
the Nth of each; ``search/best.METRIC`` and ``search/hypervolume`` over generations.
"""

from pathlib import Path
from typing import Any

from evo_moo.errors import missing_extra
from evo_moo.problem.points import place_of_key
from evo_moo.report.summary import Summary
from evo_moo.run.callbacks import Callback
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.facts import RunFacts
from evo_moo.text import distinct_names

SUFFIX = ".evo_moo"
REFUSED = r"[^-/\w.]"
"""Characters that TensorBoard takes in no tag."""


class TensorBoardWriter(Callback):
    """Writes scalars while a search runs; ``tensorboard --logdir runs`` shows them.

    The folder is written anew each time that a run begins or goes on, from what is recorded: it holds the same after
    any number of kills, at the times at which evaluations ended.

    Args:
        folder: Where to; by default ``tensorboard`` in the run folder.

    Raises:
        UsageError: The package is not installed.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            raise missing_extra("tensorboard", "`TensorBoardWriter`") from None
        self._folder = folder

    def on_begin(self, run: RunFacts) -> None:
        """Open the folder, and remove what this callback wrote there before."""
        from tensorboardX import SummaryWriter

        folder = Path(self._folder) if self._folder else (run.path or Path("runs") / run.name) / "tensorboard"
        for old in folder.glob(f"events.out.tfevents.*{SUFFIX}"):
            old.unlink()
        self._writer: Any = SummaryWriter(str(folder), filename_suffix=SUFFIX)
        self._summary = Summary(run.goals)

    def on_evaluation(self, run: RunFacts, evaluation: Evaluation) -> None:
        """Write an evaluation's metrics, or those of its points, and its duration."""
        self._summary.see(evaluation)
        values = {"time/duration_s": evaluation.duration_s or 0.0}
        for each in evaluation.offers():
            point = place_of_key(each.id)[1]
            names = distinct_names([*run.metrics, *each.metrics], REFUSED)
            kind = f"point_{point}" if point else "evaluation"
            values |= {f"{kind}/{names[name]}": value for name, value in each.metrics.items()}
        for name, value in values.items():
            self._writer.add_scalar(name, value, evaluation.training_id, self._summary.at_s)

    def on_generation(self, run: RunFacts, generation: int, population: list[Evaluation]) -> None:
        """Write the best values and the hypervolume so far."""
        for name, value in self._summary.numbers(generation, run.boxes).items():
            self._writer.add_scalar(f"search/{name}", value, generation, self._summary.at_s)
        if not run.is_replay:
            self._writer.flush()

    def on_end(self, run: RunFacts, state: str) -> None:
        """Close the file."""
        self._writer.close()
