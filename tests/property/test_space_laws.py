import itertools
import json
import math
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.analysis.importance.cells import Cells
from evo_moo.job.start import read_known
from evo_moo.problem.function_problem import FunctionProblem
from evo_moo.space.bounds import resolved
from evo_moo.space.kinds.known import variable_of
from evo_moo.space.kinds.ordering import Ordering
from evo_moo.space.kinds.simplex import Simplex
from evo_moo.space.kinds.subset import Subset
from evo_moo.space.operators import SpaceCrossover, SpaceMutation
from evo_moo.space.search_space import SearchSpace
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.storage.reading import csv_text
from evo_moo.values import METRIC, OPTION, for_toml

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def options(draw, n):
    known = ["a", "1", "=x", "", "true", 1, 1.0, True, None, [1, 2], (3, 3), {"a": (1, None)}]
    drawn = st.lists(st.sampled_from(known), min_size=n, max_size=4, unique_by=json.dumps)
    return draw(drawn)


@st.composite
def kinds(draw, when, finite):
    finite_kinds = ["integer", "choice", "boolean", "steps", "subset", "ordering"]
    kind = draw(st.sampled_from(finite_kinds + ([] if finite else ["real", "log real", "simplex"])))
    if kind == "integer":
        low = draw(st.integers(-3, 5))
        high = low + draw(st.integers(1, 4))
        log = low > 0 and draw(st.booleans())
        return Integer(low, high, log=log, zero=log and draw(st.booleans()), when=when)
    if kind == "steps":
        low, step, n = draw(st.integers(-30, 30)), draw(st.integers(1, 30)), draw(st.integers(1, 4))
        if draw(st.booleans()):
            return Integer(low, low + n * step, step=step, when=when)
        low, step, high = (float(Decimal(each).scaleb(-2)) for each in (low, step, low + n * step))
        return Real(low, high, step=step, when=when)
    if kind == "choice":
        return Choice(draw(options(1)), ordered=draw(st.booleans()), when=when)
    if kind == "ordering":
        given = draw(options(2))
        return Ordering(given, tour=len(given) > 3 and draw(st.booleans()), when=when)
    if kind == "subset":
        given = draw(options(2))
        at_least = draw(st.integers(0, len(given) - 1))
        at_most = draw(st.integers(max(at_least, 1), len(given)))
        return Subset(given, at_least=at_least, at_most=at_most, when=when)
    if kind == "simplex":
        shares = draw(st.sampled_from([2, 3, 5, ["web", "code"], ["a", "b c", "1"]]))
        return Simplex(shares, at_least=draw(st.sampled_from([0, 0.1, 0.000001])), when=when)
    if kind == "boolean":
        return Boolean(when=when)
    if kind == "real":
        low = draw(st.floats(-1e6, 1e6))
        return Real(low, low + draw(st.floats(1e-2, 1e6)), when=when)
    low = draw(st.floats(1e-12, 1e6))
    return Real(low, low * draw(st.floats(1.01, 1e6)), log=True, zero=draw(st.booleans()), when=when)


@st.composite
def spaces(draw, finite=False):
    """Draw a space whose variables may depend on earlier ones, up to two each."""
    variables = {}
    for i in range(draw(st.integers(1, 5))):
        alternatives = []
        able = sorted(name for name, kind in variables.items() if not isinstance(kind, Ordering | Simplex))
        for _ in range(draw(st.integers(1, 2)) if able else 0):
            when, used = {}, set()
            for parent in draw(st.lists(st.sampled_from(able), max_size=2, unique=True)):
                # Two parents of one family might contradict each other.
                family = {parent} | ancestors(variables, parent)
                if family & used:
                    continue
                used |= family
                when[parent] = draw(condition(resolved(variables)[0][parent]))
            alternatives += [when] if when else []
        when = alternatives if len(alternatives) > 1 else (*alternatives, None)[0]
        kind = draw(bounded(draw(kinds(when, finite)), resolved(variables)[0]))
        variables[f"v{i}" if i % 2 else f"group.v{i}"] = kind
    order = draw(st.permutations(list(variables)))
    return SearchSpace({name: variables[name] for name in order})


@st.composite
def bounded(draw, kind, variables):
    """Draw bounds of a number that are values of the variables, if there are any that it can have."""
    if not isinstance(kind, Real | Integer) or kind.zero or kind.step is not None or draw(st.booleans()):
        return kind
    able = [n for n, each in variables.items() if isinstance(each, Integer if kind.is_whole else Real | Integer)]
    if kind.log:
        able = [name for name in able if variables[name].ends[0] > 1e-100]
    if not able:
        return kind
    name = draw(st.sampled_from(able))
    (lowest, highest), room = variables[name].ends, draw(st.sampled_from([1, 3, 0.25] if not kind.is_whole else [1, 3]))
    if draw(st.booleans()):
        top = highest * (1 + room) if kind.log else highest + room * (highest - lowest)
        return replace(kind, low=name, high=top)
    low = max(1, lowest - room) if kind.is_whole and kind.log else lowest - room
    return replace(kind, low=lowest / (1 + room) if kind.log and not kind.is_whole else low, high=name)


def ancestors(variables, name):
    parents = set().union(*variables[name].alternatives)
    return parents.union(*(ancestors(variables, parent) for parent in parents))


def condition(kind):
    if isinstance(kind, Boolean):
        return st.booleans()
    if isinstance(kind, Subset):
        return st.sampled_from(kind.options).map(lambda option: {"contains": [option]})
    if isinstance(kind, Choice):
        return st.lists(st.sampled_from(kind.options), min_size=1, max_size=2)
    if kind.grid:
        inside = st.integers(*map(int, kind.span)).map(lambda code: kind.values(np.array([float(code)]))[0])
        return st.one_of(inside, inside.map(lambda v: {"at_least": v}), inside.map(lambda v: {"at_most": v}))
    ranges = st.floats(0, 1).map(lambda u: {"at_least": kind.lowest + u * (kind.highest - kind.lowest) * 0.99})
    return st.one_of(ranges, st.sampled_from([0, {"at_most": kind.low}])) if kind.zero else ranges


def rows_of(space, seed, n=20):
    return space.sample(n, np.random.default_rng(seed))


def assert_canonical(space, X):
    assert space.canonical(X).tobytes() == X.tobytes()


@given(spaces(), SEEDS)
@settings(max_examples=50)
def test_configurations_survive_a_table(space, seed):
    problem = FunctionProblem(lambda config: {"f": 0.0}, space.variables, {"f": "min"})
    configurations = space.decode(rows_of(space, seed))
    rows = [{OPTION + name: value for name, value in each.items()} | {METRIC + "f": 0.0} for each in configurations]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        path.write_text(csv_text(rows, [OPTION + name for name in space.names]))
        entries, faults = read_known(path, problem, problem.goals)
    assert not faults and repr([entry["configuration"] for entry in entries]) == repr(configurations)


@given(spaces(), SEEDS)
@settings(max_examples=60)
def test_rows_and_configurations_are_one_to_one(space, seed):
    X = space.canonical(np.concatenate([rows_of(space, seed), [space.xl, space.xu]]))
    configurations = space.decode(X)
    assert_canonical(space, X)
    assert space.encode(configurations).tobytes() == X.tobytes()
    # What the ledger stores is JSON; it must lead back to the same row.
    assert space.encode(json.loads(json.dumps(configurations))).tobytes() == X.tobytes()
    assert space.encode(for_toml(configurations)).tobytes() == X.tobytes()
    recorded = json.loads(json.dumps(space.to_json()))
    again = SearchSpace({name: variable_of(definition) for name, definition in recorded.items()})
    assert repr(again.decode(X)) == repr(configurations)
    for (row, config), (other_row, other) in itertools.combinations(zip(X, configurations, strict=True), 2):
        assert (row.tobytes() == other_row.tobytes()) == (json.dumps(config) == json.dumps(other))


@given(spaces(), SEEDS)
@settings(max_examples=40)
def test_active_columns_are_the_keys_of_the_configuration(space, seed):
    X = rows_of(space, seed)
    for mask, configuration in zip(space.active(X), space.decode(X), strict=True):
        assert list(dict.fromkeys(itertools.compress(space.layout.owners, mask))) == list(configuration)


@given(spaces(), SEEDS, st.floats(0.1, 1e9))
@settings(max_examples=40)
def test_any_numbers_become_a_row(space, seed, scale):
    X = space.canonical(np.random.default_rng(seed).normal(scale=scale, size=(20, space.n_var)))
    assert_canonical(space, X)
    assert space.encode(space.decode(X)).tobytes() == X.tobytes()


@given(spaces(finite=True))
@settings(max_examples=40)
def test_size_is_the_number_of_configurations(space):
    if math.prod(space.high - space.low + 1) > 50_000:  # parts of orderings soon fill the memory
        return
    grid = itertools.product(*(np.arange(low, high + 1) for low, high in zip(space.low, space.high, strict=True)))
    X = space.canonical(space.columns(np.array(list(grid))))
    is_known = not (space.layout.compounds and any(kind.named for kind in space.variables.values()))
    is_known = is_known and not space.layout.asks_for_parts
    assert space.size() == len(np.unique(X, axis=0)) if is_known else space.size() >= len(np.unique(X, axis=0))


@given(spaces(), SEEDS)
@settings(max_examples=50)
def test_offspring_are_canonical_and_mutants_differ(space, seed):
    rng = np.random.default_rng(seed)
    X = np.concatenate([space.sample(10, rng), space.canonical(np.repeat([space.xl, space.xu], 5, axis=0))])
    pairs = np.stack([X, rng.permutation(X)])
    children = SpaceCrossover(space)._do(None, pairs, random_state=rng)
    assert children.shape == pairs.shape
    for child in children:
        assert_canonical(space, child)
    mutants = SpaceMutation(space)._do(None, X, random_state=rng)
    assert_canonical(space, mutants)
    movable = (space.active(X) & space.bounds_of(space.codes(X)).movable).any(axis=1)
    np.testing.assert_array_equal((mutants != X).any(axis=1), movable)


@given(spaces(), SEEDS)
@settings(max_examples=50)
def test_cells_hold_their_draws_and_know_where_variables_exist(space, seed):
    cells, rng = Cells(space), np.random.default_rng(seed)
    for column in range(space.n_var):
        weights, share = cells.where_they_exist((column,), cells.weights)
        assert 0 < share <= 1 + 1e-12
        np.testing.assert_allclose([its.sum() for its in weights], 1.0)
        drawn = cells.draw(weights, 20, rng)
        X = cells.rows(drawn, rng)
        active = space.active(X)
        is_certain = not any(len(kind.alternatives) > 1 or kind.named for kind in space.variables.values())
        if is_certain and not space.layout.asks_for_parts:
            assert active[:, column].all()
        known = active & ~space.layout.compound  # cells of shares are too many to be met again once these are rounded
        known &= [not space.layout.parts[part].named for part in space.layout.parts]
        np.testing.assert_array_equal(cells.of(X)[known], drawn[known])
