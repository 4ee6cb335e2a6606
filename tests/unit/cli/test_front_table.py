"""What tables show where there is more than a page has room for."""

from dataclasses import replace

from evo_moo.cli.front_table import print_front
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.run.api import search
from evo_moo.space.variables import Real

SIDE = [f"a_rather_long_metric_{i}" for i in range(20)]


class ManyMetrics(SearchProblem):
    variables = {"x": Real(0, 1)}
    objectives = {"loss": "min", "time_ms": "min"}

    def evaluate(self, config):
        return {"loss": config["x"], "time_ms": 1 - config["x"]} | dict.fromkeys(SIDE, 0.5)


def test_a_front_of_many_metrics_stays_readable(capsys):
    result = search(ManyMetrics(), pop_size=6, termination=("n_evals", 12), workers=1, surrogate="none")
    print_front(result)
    shown = capsys.readouterr().out
    assert "loss" in shown and "time_ms" in shown and SIDE[0][:16] in shown and "14 metrics had no room here" in shown
    assert max(map(len, shown.splitlines())) <= 160
    x = result.front[0].configuration["x"]
    (row,) = [line for line in shown.splitlines() if f"x={x:.4g}" in line]
    assert f"{result.front[0].metrics['loss']:.4g}" in row


def test_rows_that_differ_look_different(capsys):
    start = [{"x": 0.5 + i / 1e7} for i in range(4)]
    result = search(ManyMetrics(), start=start, pop_size=4, termination=("n_evals", 4), workers=1, surrogate="none")
    print_front(result)
    rows = [line.split("│")[2:-1] for line in capsys.readouterr().out.splitlines() if "x=" in line]
    assert len(rows) == 4
    for column in (0, 1, -1):
        assert len({row[column] for row in rows}) == 4


def test_value_in_doubt_is_marked_with_its_interval(capsys):
    result = search(ManyMetrics(), pop_size=6, termination=("n_evals", 12), workers=1, surrogate="none")
    first = result.front[0]
    doubtful = replace(result, doubts={first.id: {"time_ms": (0.125, 0.25)}})
    print_front(doubtful)
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "? (0.125" in shown
        and f"In doubt (?): the machine was busy at every measurement of evaluation {first.id}" in shown
    )
    row, *others = doubtful.rows()
    assert (row["low.time_ms"], row["high.time_ms"]) == (0.125, 0.25)
    assert not any("low.time_ms" in other for other in others)
    print_front(result)
    assert "?" not in capsys.readouterr().out
