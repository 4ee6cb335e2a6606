"""A run as an Optuna study in an SQLite file, the storage that Optuna's own tools open by a URL.

- The study has the run's name, its objectives' directions and their names. ``best_trials`` is the run's front. With
  contexts there is a study for each, such as ``RUN@phone``, with the objectives, the limits and the front there.
- A subset, an ordering or shares are a parameter for each part, such as ``augmentations[flip]``: whether an option is
  in, the position of one, a share.
- Trial ``n`` is evaluation ``n + 1``; where evaluations offer points, each of these is a trial. Distributions follow
  from the space; a variable that is not active is absent. Options that Optuna cannot hold or distinguish (lists,
  tables, ``1`` beside ``True``) are their JSON texts.
- States: ``ok`` is COMPLETE; ``failed``, ``timeout`` and ``crashed`` are FAIL; ``asked`` is RUNNING;
  ``infeasible`` is PRUNED, since it was stopped before its objectives were known.
- Limits are the trial's constraints in Optuna's sense, feasible when at most 0; an equality is ``|h| - 1e-4``, as
  ``Goals.equality_values`` has it.
- Other metrics are user attributes by their names; ``evo_moo.id``, ``.generation``, ``.seed``, ``.status`` and
  ``.reason`` hold the rest.
"""

import json
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from evo_moo.analysis.run_record import RunRecord
from evo_moo.errors import missing_extra
from evo_moo.problem.contexts import at
from evo_moo.problem.objectives import EQUALITY_TOLERANCE
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.text import moment

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STATES = {"ok": "COMPLETE", "partial": "PRUNED", "stopped": "PRUNED", "infeasible": "PRUNED", "asked": "RUNNING"}
CONSTRAINTS = "constraints"
"""System attribute under which Optuna's samplers and its front look for a trial's constraints."""


def write_optuna(record: RunRecord, chosen: Iterable[Evaluation], file: IO[bytes]) -> None:
    """Write an Optuna storage with one study, or one for each context.

    Args:
        record: The run.
        chosen: The evaluations to write.
        file: What the SQLite file is written to.

    Raises:
        UsageError: Optuna is not installed.
    """
    try:
        import optuna
        import sqlalchemy
    except ImportError:
        raise missing_extra("optuna") from None
    definitions = {name: each for own in record.variable_parts.definitions.values() for name, each in own.items()}
    parameters = {name: _Parameter(each, record.space) for name, each in definitions.items()}
    # Made under a plain name, since a URL would take a ? in the path for the path's end.
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/study.db")
        sqlalchemy.event.listen(storage.engine, "connect", _without_syncing)
        storage.engine.dispose()  # so that the next connection is the first without syncing
        for each in map(record.within, record.result.contexts) if record.goals.contexts else [record]:
            study = optuna.create_study(
                storage=storage,
                study_name=at(record.name, each.result.context) if each.result.context else record.name,
                directions=["maximize" if o.direction == "max" else "minimize" for o in each.goals.objectives],
            )
            study.set_metric_names([objective.metric for objective in each.goals.objectives])
            study.set_user_attr("problem", record.problem)
            study.set_user_attr("limits", [f"{x.metric} {x.relation} {x.bound!r}" for x in each.goals.limits])
            study.add_trials(_trial(each, e, record.variable_parts.flat(e.configuration), parameters) for e in chosen)
        storage.engine.dispose()
        with Path(folder, "study.db").open("rb") as study_file:
            shutil.copyfileobj(study_file, file)


def _without_syncing(connection: Any, record: object) -> None:
    """Spare the disk a wait for each trial: the file counts only once it is complete."""
    connection.execute("PRAGMA synchronous = OFF")


def _bound(space: Mapping[str, Mapping[str, Any]], definition: Mapping[str, Any], end: str) -> Any:
    """Return a bound; of one that is the value of a variable, how low or high it may be: Optuna has only numbers."""
    bound = definition[end]
    while isinstance(bound, str):
        named = space[bound]
        bound = 0 if end == "low" and named.get("zero") else named[end]
    return bound


class _Parameter:
    """A variable as Optuna takes it."""

    def __init__(self, definition: Mapping[str, Any], space: Mapping[str, Mapping[str, Any]]) -> None:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        kind, self.as_json = definition["kind"], False
        self.distribution: BaseDistribution
        if kind in ("real", "integer"):
            has_zero, log, step = (definition.get(key) for key in ("zero", "log", "step"))
            low = 0 if has_zero else _bound(space, definition, "low")  # Optuna has no 0 beside a log range
            number = FloatDistribution if kind == "real" else IntDistribution
            steps = {} if step is None else {"step": step}
            self.distribution = number(low, _bound(space, definition, "high"), log=bool(log and not has_zero), **steps)
        elif kind == "boolean":
            self.distribution = CategoricalDistribution([False, True])
        else:
            options = definition["options"]
            simple = all(option is None or isinstance(option, bool | int | float | str) for option in options)
            self.as_json = not simple or len(set(options)) < len(options)
            self.distribution = CategoricalDistribution([self.value(option) for option in options])

    def value(self, value: Any) -> Any:
        """Return a value as the distribution holds it."""
        return json.dumps(value) if self.as_json else value


def _trial(
    record: RunRecord, e: Evaluation, values: Mapping[str, Any], parameters: Mapping[str, _Parameter]
) -> "FrozenTrial":
    import optuna

    goals, state = record.goals, STATES.get(e.status, "FAIL")
    objectives = [objective.metric for objective in goals.objectives] if state == "COMPLETE" else []
    inequalities = goals.inequality_values(e.metrics) if e.metrics else []
    equalities = [abs(value) - EQUALITY_TOLERANCE for value in goals.equality_values(e.metrics)] if e.metrics else []
    started = moment(e.started_at) or moment(e.asked_at)
    ended = moment(e.started_at + e.duration_s) if e.started_at and e.duration_s is not None else started
    return optuna.trial.FrozenTrial(
        number=-1,
        trial_id=-1,
        state=optuna.trial.TrialState[state],
        value=None,
        values=[float(e.metrics[name]) for name in objectives] or None,
        # Optuna's times are local and say no zone.
        datetime_start=started and started.astimezone().replace(tzinfo=None),
        datetime_complete=None if state == "RUNNING" else ended and ended.astimezone().replace(tzinfo=None),
        params={name: parameters[name].value(value) for name, value in values.items()},
        distributions={name: parameters[name].distribution for name in values},
        user_attrs={name: value for name, value in e.metrics.items() if name not in objectives}
        | {f"evo_moo.{name}": getattr(e, name) for name in ("id", "generation", "seed", "status", "reason")},
        system_attrs={CONSTRAINTS: [*inequalities, *equalities]} if goals.limits and e.metrics else {},
        intermediate_values={},
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from announcing the study, and from warning of what it calls experimental."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
