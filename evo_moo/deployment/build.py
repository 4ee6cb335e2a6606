"""Build the model of a run's member: trained once more at full length, exported, measured, with its card."""

import contextlib
import datetime
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evo_moo.analysis.result import Result
from evo_moo.deployment.card import Input, ModelCard, Promise, Training, rounded
from evo_moo.deployment.card_pages import write_pages
from evo_moo.deployment.chosen import choose, searched
from evo_moo.deployment.export import arrays_of, write_model
from evo_moo.deployment.measure import agreement, footprint, predicted, quality, speed
from evo_moo.deployment.model_folder import CARD, ENVIRONMENT, EXAMPLES, Array, ModelFolder, read_arrays, write_manifest
from evo_moo.deployment.runners import RUNTIMES, predict_of, runtimes_here
from evo_moo.errors import EvoMooError, ModelFolderError, ProblemError, UsageError
from evo_moo.files import guarded_writes, sync_below, write_whole
from evo_moo.problem.declarations import parameters_of
from evo_moo.problem.optional_methods import TrainedModel
from evo_moo.problem.points import Key, key_in_words
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.preparation.recorded_job import recorded_job
from evo_moo.seeding import seed_for
from evo_moo.storage.environment import environment
from evo_moo.storage.evaluation_row import Evaluation
from evo_moo.storage.log import write_audit
from evo_moo.threads import one_thread

TOLERANCE = 1e-3
MACHINE = ("platform", "processor", "cores", "memory_gb", "python")


def build(
    run_dir: str | Path,
    out: str | Path,
    member: Key | None = None,
    *,
    rules: Mapping[str, Any] | None = None,
    seeds: int = 1,
    all_data: bool = False,
    batch_size: int = 1,
    test_data: str | Path | None = None,
    problem: Any = None,
) -> ModelFolder:
    """Train a member of a run's front at full length, and write the folder of its model, which stands alone.

    Args:
        run_dir: The run folder; it is only read.
        out: The new folder.
        member: Id of the evaluation, or of its point; by default the rules choose.
        rules: Arguments of ``evo_moo.analysis.choice.pick`` by name, such as ``{"limits": {…}}``.
        seeds: Number of trainings, the first with the seed of the search; the best by validation data is kept.
        all_data: Whether to train with the validation data too; the test data are never trained with.
        batch_size: Number of samples in the batch whose latency the card promises.
        test_data: An ``.npz`` file for the test data, by which ``verify`` measures the accuracy elsewhere.
        problem: The problem, if the run searched a Python object; else a reference to its new place, or None.

    Returns:
        The folder, read again and checked.

    Raises:
        UsageError: An argument is wrong, or the folder is there already.
        NoChoiceError: Nothing keeps the limits, or there is no such member.
        ProblemError: The problem has no ``model``, or what it gives cannot be built.
        RunFolderError: It is no run folder, or the new folder cannot be written.
        ImportError: A library that the model needs is not installed.
    """
    run_dir, out = Path(run_dir), Path(out)
    _check_arguments(out, seeds, all_data, batch_size)
    result = Result.read(run_dir)
    chosen = choose(result, member, dict(rules or {}))
    job, built, _ = recorded_job(run_dir, problem, {}, "call evo_moo.deployment.build with it, as `problem`")
    if not built.has_model:
        built.model({}, seed=0)  # says what is missing
    trainings = _Trainings(built, chosen.evaluation, seeds, all_data)
    trained, training = trainings.best(result)
    with guarded_writes(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        with guarded_writes(out), one_thread():
            left_out = write_model(trained, made)
            environment_here = environment(training.seed)
            write_whole(made / ENVIRONMENT, orjson.dumps(environment_here, option=orjson.OPT_INDENT_2))
            search = searched(result, chosen, job)
            card = ModelCard(
                name=f"{search.run}, {key_in_words(chosen.evaluation.id)}",
                built_at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
                evo_moo=version("evo-moo"),
                configuration=chosen.evaluation.configuration,
                input=_input_of(trained, made),
                outputs=trained.outputs,
                classes=[str(each) for each in trained.classes],
                thresholds=dict(trained.thresholds),
                batch_size=batch_size,
                promises={},
                serving={},
                tolerance=TOLERANCE,
                left_out=left_out,
                search=search,
                training=training,
                machine={name: environment_here[name] for name in MACHINE},
                reproduce=_command(run_dir, chosen.evaluation.id, seeds, all_data),
            )
            card = _with_promises(made, card, trained)
            _write_card(made, card)
            if test_data is not None:
                _write_test_data(Path(test_data), trained)
        sync_below(made)
        with guarded_writes(out):
            made.chmod(0o755)
            made.rename(out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    rule, why = card.search.rule, card.search.why
    write_audit(run_dir, "build", id=chosen.evaluation.id, rule=rule, why=why, out=str(out.absolute()))
    return ModelFolder.read(out)


def _check_arguments(out: Path, seeds: int, all_data: bool, batch_size: int) -> None:
    faults = [
        f"`{name}` must be at least 1, but is {number}"
        for name, number in {"seeds": seeds, "batch_size": batch_size}.items()
        if number < 1
    ]
    if all_data and seeds > 1:
        faults.append(f"`seeds` must be 1 with `all_data`, which leaves none to choose by, but is {seeds}")
    if out.exists():
        faults.append(f"`{out}` must be a new folder, but is there already; name another, or remove it")
    if faults:
        raise UsageError(*faults)


class _Trainings:
    """The trainings of one member."""

    def __init__(self, problem: SearchProblem, member: Evaluation, seeds: int, all_data: bool) -> None:
        self._problem, self._member, self._all_data = problem, member, all_data
        self._seeds = [member.seed, *(seed_for(f"build {number}", member.seed) for number in range(1, seeds))]
        named = parameters_of(problem.model)
        if all_data and "all_data" not in named:
            raise ProblemError(
                f"`{type(problem).__name__}` must define `model(self, config, *, seed, all_data)` to train with all "
                "data, but it takes no `all_data`"
            )
        self._named = named

    def best(self, result: Result) -> tuple[TrainedModel, Training]:
        """Train with each seed, and return the best by the first objective that the trainings measured."""
        models = [self._trained(seed) for seed in self._seeds]
        judged = [o for o in result.goals.objectives if all(o.metric in model.metrics for model in models)]
        kept = 0
        if judged:
            kept = int(np.argmin([judged[0].sign * model.metrics[judged[0].metric] for model in models]))
        trained, names = models[kept], set.intersection(*(set(model.metrics) for model in models))
        spread = {name: float(np.std([m.metrics[name] for m in models], ddof=1)) for name in names if len(models) > 1}
        return trained, Training(
            seed=self._seeds[kept],
            n_seeds=len(models),
            all_data=self._all_data,
            is_reproduced=None if kept or self._all_data else self._is_reproduced(result, trained),
            metrics=rounded(trained.metrics),
            spread=rounded(spread),
            data=dict(trained.data),
        )

    def _trained(self, seed: int) -> TrainedModel:
        with contextlib.ExitStack() as stack:
            offered: dict[str, Any] = {"seed": seed, "all_data": self._all_data}
            if "workspace" in self._named:
                offered["workspace"] = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            arguments = {name: value for name, value in offered.items() if name in self._named}
            try:
                return self._problem.model(dict(self._member.configuration), **arguments)
            except (EvoMooError, ImportError):
                raise
            except Exception as error:
                what = f"`{type(self._problem).__name__}.model`"
                raise ProblemError(
                    f"{what} must give a trained model, but raises {type(error).__name__}: {error}"
                ) from error

    def _is_reproduced(self, result: Result, trained: TrainedModel) -> bool | None:
        """Return whether the training measured what the search had recorded, of all that is not a measured time."""
        known = result.known_metrics
        shared = {
            name: value
            for name, value in trained.metrics.items()
            if name in self._member.metrics and name in known and not known[name].timed
        }
        if not shared:
            return None
        return all(np.isclose(value, self._member.metrics[name], rtol=1e-6) for name, value in shared.items())


def _input_of(trained: TrainedModel, folder: Path) -> Input | None:
    if not (folder / EXAMPLES).is_file():
        return None
    example = read_arrays(folder / EXAMPLES)["inputs"]
    return Input(shape=example.shape[1:], dtype=str(example.dtype), words=trained.inputs)


def _with_promises(folder: Path, card: ModelCard, trained: TrainedModel) -> ModelCard:
    """Return the card with what the written files were measured to do, by every runtime that is here."""
    _write_card(folder, card)
    written = ModelFolder.read(folder)
    if card.input is None:  # files alone, of which nobody here knows what runs them
        return card
    for runtime in runtimes_here(written):
        if runtime != "scikit-learn" and (why := _unlike(written, runtime)):
            file = RUNTIMES[runtime]
            (folder / file).unlink()
            card = card.model_copy(update={"left_out": {**card.left_out, file: why}})
            _write_card(folder, card)
            written = ModelFolder.read(folder)
    if not runtimes_here(written):
        faults = "; ".join(f"{file}: {why}" for file, why in card.left_out.items())
        raise ProblemError(f"a trained model must be written for one runtime at least, but none works: {faults}")
    predict = {runtime: predict_of(written, runtime, trust=True) for runtime in runtimes_here(written)}
    promises: dict[str, Promise] = {}
    if trained.test is not None:
        inputs, labels = map(arrays_of, trained.test)
        groups = None if trained.groups is None else arrays_of(trained.groups).astype(str)
        outputs = predicted(next(iter(predict.values())), inputs)
        promises |= quality(outputs, labels, card.outputs, card.thresholds, groups, "test data")
    inputs = written.examples()[0]
    batch = np.resize(inputs, (card.batch_size, *inputs.shape[1:]))
    serving = {
        runtime: speed(call, batch, runtime) | footprint(written, runtime, trust=True)
        for runtime, call in predict.items()
    }
    return card.model_copy(update={"promises": promises, "serving": serving})


def _unlike(folder: ModelFolder, runtime: str) -> str:
    """Return why a file does not compute what the model does; nothing where it does."""
    try:
        off = agreement(folder, runtime, trust=True)
    except ModelFolderError as error:
        return str(error)
    # not "off > TOLERANCE": outputs that are no numbers agree with nothing
    return "" if off <= TOLERANCE else f"its outputs differ by {off:.2g} of the largest from the model's"


def _write_card(folder: Path, card: ModelCard) -> None:
    write_whole(folder / CARD, card.model_dump_json(indent=1))
    write_pages(card, folder)
    write_manifest(folder)


def _write_test_data(path: Path, trained: TrainedModel) -> None:
    if trained.test is None:
        raise UsageError("`test_data` must be of a model that comes with test data, but this one has none")
    arrays: dict[str, Array] = dict(zip(("inputs", "labels"), map(arrays_of, trained.test), strict=True))
    if trained.groups is not None:
        arrays["groups"] = arrays_of(trained.groups).astype(str)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _command(run_dir: Path, member: Key, seeds: int, all_data: bool) -> str:
    more = [*(["--seeds", str(seeds)] if seeds > 1 else []), *(["--all-data"] if all_data else [])]
    return shlex.join(["evo-moo", "build", str(run_dir), "--id", str(member), *more, "--out", "model"])
