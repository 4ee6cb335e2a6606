"""Tables of problems for the terminal: what there is, what one declares, and what trying it showed."""

import math
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from evo_moo.cli.console import new_table, open_console, safe
from evo_moo.errors import EvoMooError
from evo_moo.problem.goals import Goals
from evo_moo.problem.objectives import Limit, Objective
from evo_moo.text import printable

if TYPE_CHECKING:
    from evo_moo.evaluation.check_problem import Check
    from evo_moo.problem.search_problem import SearchProblem


def print_problems() -> None:
    """Print one row per registered problem."""
    from evo_moo.plugins import load_problem, problem_names

    table = new_table(("problem", "objectives", "other metrics", "variables"))
    for name in problem_names():
        try:
            problem = load_problem(name)
        except EvoMooError as error:
            table.add_row(safe(name), safe(str(error)))
            continue
        others = [metric for metric in problem.declared_metrics if metric not in problem.objectives]
        variables = ", ".join(problem.variables)
        variables += f"; after the training {', '.join(problem.post_training)}" if problem.post_training else ""
        goals = _goal_words(Goals.declared(problem.objectives, problem.constraints))
        goals += f"; in {', '.join(problem.by_context.contexts)}" if problem.by_context.contexts else ""
        table.add_row(*map(safe, (name, goals, ", ".join(others), variables)))
    console = open_console()
    console.print(table)
    console.print("Also: pymoo:NAME, package.module:Class, path/to/file.py:Class. Details: evo-moo problems NAME")
    console.print("Any program, by a job file: see problems/README.md")


def print_problem(problem: "SearchProblem", reference: str) -> None:
    """Print a problem's variables, metrics and goals."""
    console = open_console()
    _print_definition(console, problem, reference)
    if problem.has_network:
        console.print(f"Shows its network: evo-moo latency {safe(reference)}", highlight=False)


def print_check(check: "Check", reference: str) -> None:
    """Print what trying a problem showed; its faults are left to the caller."""
    console = open_console()
    if check.problem is None:
        return
    _print_definition(console, check.problem, reference, check)
    size = check.problem.space.size()
    console.print(f"Configurations: {'infinitely many' if math.isinf(size) else f'{size:,}'}")
    ended = sum(outcome.status == "ok" for outcome in check.outcomes)
    if check.outcomes:
        each = f", {check.evaluation_s:.3g} s each (median)" if ended else ""
        console.print(f"Evaluations: {ended} of {len(check.outcomes)} ended well{each}")
    if points := check.points:
        console.print(f"Points: {sum(not point.fault for point in points)} of {len(points)} could be made")
    for note in check.notes:
        console.print(safe(f"note: {note}"))
    if not check.faults:
        console.print("No faults found.")


def _print_definition(console: Console, problem: "SearchProblem", reference: str, check: "Check | None" = None) -> None:
    rows = problem.point_space.describe()
    n = len(problem.space.names)
    tables = {safe(reference): rows[:n], "Chosen after the training": rows[n:]}
    metrics = new_table(("metric", "unit", "role", "description", *(["seen"] if check else [])))
    for name, metric in problem.known_metrics.items():
        roles = [_objective_words(o) for o in problem.goals.objectives if o.metric == name]
        roles += [_limit_words(limit) for limit in problem.goals.limits if limit.metric == name]
        roles += [flag for flag in ("held_out", "cheap", "timed", "noisy") if getattr(metric, flag)]
        roles += [f"test of {metric.test_of}"] if metric.test_of else []
        values = check.observed(name) if check else []
        seen = f"{min(values):.4g} to {max(values):.4g}" if values else ""
        words = map(safe, (name, metric.unit, ", ".join(roles), metric.description))
        metrics.add_row(*words, *([seen] if check else []))
    for title, described in tables.items():
        variables = new_table(rows[0], title=title)
        for row in described:
            variables.add_row(*map(safe, row.values()))
        if described:
            console.print(variables)
    console.print(metrics)
    for key, names in problem.contexts.items():
        console.print(safe(f"Contexts by {key}: {', '.join(names)}"), highlight=False)
    if problem.fidelity is not None:
        name, low, high = problem.fidelity
        console.print(safe(f"Fidelity: {name} from {low} to {high}"), highlight=False)


def _goal_words(goals: Goals) -> str:
    words = [f"{objective.direction} {objective.metric}" for objective in goals.objectives]
    words += [f"{limit.metric} {_limit_words(limit)}" for limit in goals.limits]
    return ", ".join(words)


def _objective_words(objective: Objective) -> str:
    return objective.direction + ("" if objective.goal is None else f", goal {objective.goal:g}")


def _limit_words(limit: Limit) -> str:
    return f"{limit.relation.replace('_', ' ')} {limit.bound:g}"


def print_calls(problem: "SearchProblem", n: int) -> None:
    """Print how a command is called for ``n`` of the configurations that ``evo-moo check`` evaluates; nothing is run.

    Raises:
        UsageError: The problem runs no command.
    """
    from evo_moo.problem.command.problem import calls_of

    for call in calls_of(problem, n):
        typer.echo(printable(call.in_words()))
