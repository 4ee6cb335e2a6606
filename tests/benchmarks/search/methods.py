"""The optimisers that are compared, each behind one interface.

A method is a generator: it yields configurations to evaluate, and is sent their ``(n, n_obj)`` objectives and
``(n, n_constr)`` constraints. It ends where it has nothing left to ask. Those with a model begin with
``problem.n_initial`` configurations: 2 (d + 1) for d variables, at most 20.
"""

import importlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from evo_moo.space.variables import Choice, Real, Variable
from tests.benchmarks.search.problems import Configuration, Problem

Asking = Generator[list[Configuration], tuple[np.ndarray, np.ndarray], None]
POP_SIZE = 20


class UnsupportedError(Exception):
    """The method cannot search such a space."""


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        ask: Takes problem, batch and seed, and gives the generator.
        package: The distribution that must be installed.
        modules: What it imports, so that imports are not counted as its time.
        note: What a reader of its results should know.
    """

    ask: Callable[[Problem, int, int], Asking]
    package: str = "evo-moo"
    modules: tuple[str, ...] = ()
    note: str = ""


class Evaluated(NamedTuple):
    """One evaluation: true objectives, what was measured of them, constraints, and CPU seconds of the optimiser."""

    F: list[float]
    measured: list[float]
    G: list[float]
    cpu_s: float


def run(method: Method, problem: Problem, n_evals: int, batch: int, seed: int) -> Iterator[Evaluated]:
    """Search, and give each evaluation as it ends; the same seed gives every method the same noise."""
    for module in method.modules:
        importlib.import_module(module)
    n, rng = 0, np.random.default_rng([seed, 1])
    started = time.process_time()
    asking = method.ask(problem, batch, seed)
    configurations = next(asking, None)
    while configurations is not None:
        cpu_s = time.process_time() - started
        configurations = configurations[: n_evals - n]
        F, G = problem.evaluate(configurations)
        measured = F if problem.noise is None else F + problem.noise * rng.standard_normal(F.shape)
        for f, m, g in zip(F.tolist(), measured.tolist(), G.tolist(), strict=True):
            yield Evaluated(f, m, g, cpu_s / len(configurations))
        n += len(configurations)
        if n >= n_evals:
            return
        started = time.process_time()
        try:
            configurations = asking.send((measured, G))
        except StopIteration:
            return


def random(problem: Problem, batch: int, seed: int) -> Asking:
    """Uniform draws."""
    rng = np.random.default_rng(seed)
    while True:
        yield problem.space.decode(problem.space.sample(batch, rng))


def sobol(problem: Problem, batch: int, seed: int) -> Asking:
    """A scrambled Sobol sequence, rounded where variables are no reals."""
    from scipy.stats import qmc

    space = problem.space
    # Drawn at once: a sequence that is drawn in parts of odd sizes is the same, but warns of it.
    unit = qmc.Sobol(space.n_var, seed=seed).random(1 << 13)
    X = space.canonical(space.wide_xl + unit * (space.wide_xu - space.wide_xl))
    for first in range(0, len(X), batch):
        yield space.decode(X[first : first + batch])


def pymoo_nsga2(problem: Problem, batch: int, seed: int) -> Asking:
    """pymoo's NSGA-II; its mixed-variable operators where variables are no reals."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.mixed import (
        MixedVariableDuplicateElimination,
        MixedVariableMating,
        MixedVariableSampling,
    )
    from pymoo.core.problem import Problem as Shape

    shape = {"n_obj": problem.n_obj, "n_ieq_constr": problem.n_constr}
    if problem.is_continuous:
        bounds = {"n_var": problem.space.n_var, "xl": problem.space.xl, "xu": problem.space.xu}
        return _pymoo_loop(NSGA2(pop_size=POP_SIZE), Shape(**bounds, **shape), problem.space.decode, seed)
    algorithm = NSGA2(
        pop_size=POP_SIZE,
        sampling=MixedVariableSampling(),
        mating=MixedVariableMating(eliminate_duplicates=MixedVariableDuplicateElimination()),
        eliminate_duplicates=MixedVariableDuplicateElimination(),
    )
    kinds = {name: _pymoo_variable(variable) for name, variable in problem.variables.items()}

    def decode(rows: np.ndarray) -> list[Configuration]:
        return [_configuration(problem, lambda name, _, row=row: row[name]) for row in rows]

    return _pymoo_loop(algorithm, Shape(vars=kinds, **shape), decode, seed)


def _pymoo_variable(variable: Variable) -> Any:
    from pymoo.core import variable as kinds

    if isinstance(variable, Choice) and not variable.ordered:
        return kinds.Choice(options=list(variable.options))
    low, high = variable.span
    return kinds.Real(bounds=(low, high)) if isinstance(variable, Real) else kinds.Integer(bounds=(int(low), int(high)))


def _pymoo_loop(algorithm: Any, shape: Any, decode: Callable[[Any], list[Configuration]], seed: int) -> Asking:
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.termination import NoTermination
    from pymoo.problems.static import StaticProblem

    algorithm.setup(shape, termination=NoTermination(), seed=seed, verbose=False)
    while True:
        individuals = algorithm.ask()
        if individuals is None or not len(individuals):
            return
        F, G = yield decode(individuals.get("X"))
        outcome = {"F": F, "G": G} if G.shape[1] else {"F": F}
        Evaluator().eval(StaticProblem(shape, **outcome), individuals)
        algorithm.tell(infills=individuals)


def pysamoo(problem: Problem, batch: int, seed: int) -> Asking:
    """SSA-NSGA-II of pysamoo."""
    from pymoo.core.problem import Problem as Shape
    from pysamoo.algorithms.ssansga2 import SSANSGA2

    space = problem.space
    shape = {"n_obj": problem.n_obj, "n_ieq_constr": problem.n_constr}
    algorithm = SSANSGA2(n_initial_doe=problem.n_initial, n_infills=batch)
    plain = Shape(n_var=space.n_var, xl=space.wide_xl, xu=space.wide_xu, **shape)
    return _pymoo_loop(algorithm, plain, lambda X: space.decode(space.canonical(X)), seed)


def _configuration(problem: Problem, value_of: Callable[[str, Variable], Any]) -> Configuration:
    """Build a configuration variable by variable; those that do not exist in it are not asked for."""
    configuration: dict[str, Any] = {}
    for name, variable in problem.variables.items():
        wanted = {parent: np.ravel(values).tolist() for parent, values in (variable.when or {}).items()}
        if all(configuration.get(parent) in values for parent, values in wanted.items()):
            value = value_of(name, variable)
            is_index = isinstance(variable, Choice) and variable.ordered
            configuration[name] = variable.options[int(value)] if is_index else value
    return configuration


def optuna(make_sampler: Callable[[Any, Problem, int], Any]) -> Callable[[Problem, int, int], Asking]:
    """One of Optuna's samplers, with Optuna's own words for conditions and constraints."""

    def ask(problem: Problem, batch: int, seed: int) -> Asking:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = make_sampler(optuna.samplers, problem, seed)
        study = optuna.create_study(directions=["minimize"] * problem.n_obj, sampler=sampler)
        while True:
            trials = [study.ask() for _ in range(batch)]
            F, G = yield [_configuration(problem, _suggestion(trial)) for trial in trials]
            for trial, f, g in zip(trials, F.tolist(), G.tolist(), strict=True):
                for i, value in enumerate(g):
                    trial.set_constraint(f"g{i}", value)
                study.tell(trial, f)

    return ask


def _suggestion(trial: Any) -> Callable[[str, Variable], Any]:
    def suggest(name: str, variable: Variable) -> Any:
        if isinstance(variable, Choice) and not variable.ordered:
            return trial.suggest_categorical(name, list(variable.options))
        low, high = variable.span
        if isinstance(variable, Real):
            return trial.suggest_float(name, low, high)
        return trial.suggest_int(name, int(low), int(high))

    return suggest


def evo_moo(with_models: bool) -> Callable[[Problem, int, int], Asking]:
    """evo-moo's own optimisers, at their defaults but for the size of the first population."""

    def ask(problem: Problem, batch: int, seed: int) -> Asking:
        from evo_moo.optimizer.optimizer import Optimizer
        from evo_moo.optimizer.surrogate_optimizer import SurrogateOptimizer
        from evo_moo.problem.function_problem import FunctionProblem
        from evo_moo.problem.metrics import Metric

        objectives = {f"f{i}": "min" for i in range(problem.n_obj)}
        limits = {f"g{i}": {"at_most": 0.0} for i in range(problem.n_constr)}
        own = FunctionProblem(dict, problem.variables, objectives, limits)
        own.metrics = {f"f{i}": Metric(noisy=std > 0) for i, std in enumerate(problem.noise or ())}
        if with_models:
            optimizer: Optimizer = SurrogateOptimizer(own, batch=batch, pop_size=problem.n_initial, seed=seed)
        else:
            optimizer = Optimizer(own, pop_size=POP_SIZE, seed=seed)
        while candidates := optimizer.ask():
            F, G = yield [candidate.configuration for candidate in candidates]
            for candidate, values in zip(candidates, np.hstack([F, G]).tolist(), strict=True):
                optimizer.tell(candidate, dict(zip([*objectives, *limits], values, strict=True)))

    return ask


def botorch(problem: Problem, batch: int, seed: int) -> Asking:
    """BoTorch's qLogNEHVI; see ``botorch_method``."""
    from tests.benchmarks.search.botorch_method import ask

    return ask(problem, batch, seed)


def _optuna(make_sampler: Callable[[Any, Problem, int], Any], *modules: str) -> Method:
    return Method(optuna(make_sampler), "optuna", ("optuna.samplers", *modules))


GENERATIONS = f"generations of {POP_SIZE}, whatever the batch"
METHODS: dict[str, Method] = {
    "random": Method(random),
    "sobol": Method(sobol, modules=("scipy.stats",)),
    "pymoo-nsga2": Method(pymoo_nsga2, "pymoo", ("pymoo.algorithms.moo.nsga2", "pymoo.core.mixed"), GENERATIONS),
    "pysamoo": Method(
        pysamoo, "pysamoo", ("pysamoo.algorithms.ssansga2",), "knows only reals: the rest is rounded for it"
    ),
    "optuna-nsga2": _optuna(lambda samplers, _, seed: samplers.NSGAIISampler(population_size=POP_SIZE, seed=seed)),
    "optuna-tpe": _optuna(
        lambda samplers, problem, seed: samplers.TPESampler(
            multivariate=True, group=True, n_startup_trials=problem.n_initial, seed=seed
        )
    ),
    "optuna-gp": _optuna(
        lambda samplers, problem, seed: samplers.GPSampler(
            n_startup_trials=problem.n_initial, deterministic_objective=problem.noise is None, seed=seed
        ),
        "torch",
        "scipy.optimize",
    ),
    "botorch-qlognehvi": Method(
        botorch,
        "botorch",
        ("tests.benchmarks.search.botorch_method",),
        "reference point: the worst values of the initial design",
    ),
    "evo-moo": Method(
        evo_moo(True), modules=("evo_moo.optimizer.surrogate_optimizer", "sklearn.ensemble", "scipy.optimize")
    ),
    "evo-moo-plain": Method(evo_moo(False), modules=("evo_moo.optimizer",), note=GENERATIONS),
}
