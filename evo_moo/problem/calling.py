"""How a problem's ``evaluate`` is called: with the keyword arguments that it names."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any, TypedDict

from evo_moo.problem.declarations import parameters_of
from evo_moo.problem.learning_curve import Report
from evo_moo.problem.weights import Weights


class Circumstances(TypedDict, total=False):
    """The circumstances of an evaluation.

    Attributes:
        seed: Seed of every random choice.
        workspace: Folder for ``evaluate``, made if it names ``workspace``; by default a temporary one.
        fidelity: How thorough it is to be; by default as thorough as it can be.
        weights: What it goes on from, and where it saves; by default neither.
        replicate: Number of the repetition.
        report: Takes its learning curve; by default it is only checked.
    """

    seed: int
    workspace: str | None
    fidelity: int | None
    weights: Weights | None
    replicate: int
    report: Report | None


def called(problem: Any, config: dict[str, Any], circumstances: Circumstances) -> Any:
    """Return what a problem's ``evaluate`` returns of a configuration.

    Raises:
        TrainingStopped: ``report`` ended it.
    """
    fidelity = circumstances.get("fidelity")
    if fidelity is None and problem.fidelity is not None:
        fidelity = problem.fidelity.high
    offered: dict[str, Any] = {"replicate": 0} | dict(circumstances) | {"fidelity": fidelity}
    offered |= {"weights": offered.get("weights") or Weights(), "report": offered.get("report") or Report()}
    with contextlib.ExitStack() as stack:
        wanted = list(parameters_of(problem.evaluated_function))[1:]
        if "workspace" in wanted:
            workspace = offered.get("workspace") or stack.enter_context(tempfile.TemporaryDirectory())
            offered["workspace"] = Path(workspace)
            offered["workspace"].mkdir(parents=True, exist_ok=True)
        arguments = {name: offered[name] for name in wanted if name in offered}
        return problem.evaluate(dict(config), **arguments)
