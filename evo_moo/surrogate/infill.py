"""Where to evaluate next, by the posterior of the models.

A pool of candidates is evolved on the models and around the front. From it a batch is taken one by one: each
member maximises an acquisition function against the front, the earlier members and everything pending, times the
probability to be feasible and to succeed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from evo_moo.space.operators import SpaceCrossover, SpaceMutation
from evo_moo.surrogate import acquisition
from evo_moo.surrogate.archive import FEW, Offers
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.posterior import Expected, MetricModel, Posterior
from evo_moo.surrogate.protocol import Array
from evo_moo.surrogate.views import Evaluated, View, turn_of

Mask = npt.NDArray[np.bool_]

N_RANDOM, N_AROUND, N_CLOSE, N_START = 100, 150, 100, 40
N_EVOLVED, N_GENERATIONS = 60, 12
N_PROMISING, N_BEST, N_CHILDREN = 400, 30, 60
N_TRIALS = 3
"""So many replicates show how noisy the objectives are: without any, noise and ruggedness look alike."""
REPLICATED = 0.1
"""Replicates are at most this share of all evaluations: the models may be wrong about what was not tried."""
MOST_LEARNT = 200
"""Number of rows that a model of one direction learns at most."""
STEPS = (20, 50, 100, 200, 500, 1000)
"""Distribution indices of the mutations that refine the best candidates, in turn: ever smaller steps."""


@dataclass(frozen=True)
class Infill:
    """Chooses batches of rows to evaluate.

    Attributes:
        offers: The points of trainings; rows here are of points, and each candidate is a point of a training.
        rng: Source of all randomness.
        is_new: Returns which rows of trainings, ``(n, n_var)``, may be asked for at all, ``(n,)``.
        exploration: How much of the models' uncertainty counts as a chance, from 0 to 1.
        turn: Number of rows chosen before: acquisition functions take turns.
        pending: ``(m, n_var)`` rows of trainings that run.
        learn: From ``(n, n_var)`` rows and ``(n,)`` values to the model of them.
    """

    offers: Offers
    rng: np.random.Generator
    is_new: Callable[[Array], Mask]
    exploration: float
    turn: int
    pending: Array
    learn: Callable[[Array, Array], MetricModel]

    def batch(self, posterior: Posterior, views: list[View], n: int, offspring: Array, may_replicate: bool) -> Array:
        """Choose up to ``n`` trainings, and return the row of the most promising point of each.

        Args:
            posterior: What the models expect, pending evaluations included.
            views: What was measured in each context.
            n: Number of rows.
            offspring: ``(m, n_var)`` rows made by the evolutionary algorithm, which join the pool.
            may_replicate: Whether a row of the front is chosen again where another evaluation of it is expected to gain
                more than that of any new row; the first calls then try some, one each.
        """
        evaluated = views[0].evaluated
        pool = self._pool(posterior, views, self.offers.drawn(offspring, self.rng))
        views = [view.expecting(pool) for view in views]
        chosen, n_replicates = np.empty((0, self.offers.space.n_var)), evaluated.n_replicates
        most_replicates = REPLICATED * (len(evaluated.X) + n_replicates) if may_replicate else 0
        for i in range(n):
            number, turns = turn_of(posterior.goals.weights, self.turn + i)
            view = views[number]
            functions = acquisition.functions_for(view.front)
            rounds, position = divmod(turns, len(functions))
            function = functions[position]
            taken = np.concatenate([self.offers.of(self.pending, FEW), self.offers.of(chosen, FEW)])
            learn = partial(self._learnt, posterior.features, view.evaluated, taken)
            turn = acquisition.Turn(rounds, self.rng, self.exploration, view.evaluated.scaled, learn)
            score = function(view.front, view.posterior, turn)
            pool, scores = self._refined(pool, posterior, view, score)
            other = acquisition.score_instead(function, scores, view.front, view.posterior, turn)
            if other is not None:
                pool, scores = self._refined(pool, posterior, view, other)
            new = self._new(pool, chosen)
            if not len(new):
                break
            if other is None and function in acquisition.OF_VOLUME:
                new = self._best_offers_first(new, posterior, view, turn, function)
            row, known = None, view.evaluated.X[view.best]
            if n_replicates < most_replicates and view.front.exists:
                if i == 0 and n_replicates < N_TRIALS:
                    row = int(self.rng.integers(len(known)))
                else:
                    row = acquisition.worth_replicating(view.front, known, new.X, view.posterior)
                n_replicates += row is not None
            latest = new.X[:1] if row is None else known[[row]]
            chosen = np.concatenate([chosen, latest])
            if i + 1 < n:
                if row is None:
                    points = posterior.expect(self.offers.of(latest)) if len(self.offers.choices) > 1 else new[:1]
                    views = [each.with_points(points) for each in views]
                posterior = posterior.with_fantasies(self.offers.of(latest, FEW))
                views = [each.believing(posterior) for each in views]
        return chosen

    def _learnt(self, features: Features, evaluated: Evaluated, pending: Array, values: Array) -> MetricModel:
        """Return the model of values of what was measured, with pending rows as predicted.

        Of many it learns the best and as many others (Knowles 2006, sec. IV-C).
        """
        rows = np.argsort(values, kind="stable")
        if len(rows) > MOST_LEARNT:
            half = MOST_LEARNT // 2
            rows = np.append(rows[:half], self.rng.choice(rows[half:], half, replace=False))
        model = self.learn(evaluated.X[rows], values[rows])
        return model.with_fantasies(features.matrix(pending)) if len(pending) else model

    def _pool(self, posterior: Posterior, views: list[View], offspring: Array) -> Expected:
        best = views[0].evaluated.X[np.concatenate([view.best for view in views])]
        if len(views) > 1:
            best = np.unique(best, axis=0)
        drawn = self.offers.drawn(self.offers.space.sample(N_RANDOM, self.rng), self.rng)
        around, close = self._varied(best, N_AROUND, STEPS[0]), self._varied(best, N_CLOSE, STEPS[2])
        rows = posterior.expect(np.concatenate([drawn, around, close, offspring]))
        start = posterior.expect(best) + rows[:N_START] + rows[N_RANDOM : N_RANDOM + N_START]
        for i in range(max(2, len(views))):  # of several contexts each is evolved once, of one both ways
            optimism = i if len(views) == 1 else self.rng.integers(2)
            rows += self._evolved(start, posterior, views[i % len(views)], float(optimism))
        return rows

    def _evolved(self, rows: Expected, posterior: Posterior, view: View, optimism: float) -> Expected:
        """Evolve rows towards the predicted front of a context by non-dominated sorting, as NSGA-II does."""

        def kept(rows: Expected) -> Expected:
            return rows[_survivors(acquisition.predicted(view.of(rows), view.front, optimism), N_EVOLVED)]

        for _ in range(N_GENERATIONS):
            parents = kept(rows)
            rows = parents + posterior.expect(self._varied(parents.X, N_EVOLVED, STEPS[0]))
        return kept(rows)

    def _refined(
        self, pool: Expected, posterior: Posterior, view: View, score: acquisition.Score
    ) -> tuple[Expected, Array]:
        """Return the pool with descendants of the best rows, the best first, and the scores of the first of them.

        What was expected of rows before others were chosen tells the best ones, of which it is asked again.
        """

        def scored(rows: Expected) -> Array:
            return score(view.of(rows))

        order = np.argsort(-scored(pool), kind="stable")
        best, rest = posterior.expect(pool.X[order[:N_PROMISING]]), pool[order[N_PROMISING:]]
        best, scores = _ranked(best, scored(best))
        for step, eta in enumerate(STEPS):
            parents = best.X[: N_BEST if step % 2 == 0 else N_BEST // 3]
            children = posterior.expect(self._varied(parents, N_CHILDREN, eta, crossed=step % 2 == 0))
            best, scores = _ranked(best + children, np.append(scores, scored(children)))
        return best + rest, scores

    def _new(self, ranked: Expected, chosen: Array) -> Expected:
        """Return rows that may be asked for, the best first: those of the first few among which there are some."""
        for first in range(0, len(ranked), N_CHILDREN):
            rows = ranked[first : first + N_CHILDREN]
            X = rows.X[:, : self.offers.n_var]
            rows = rows[self.is_new(X) & ~any_equal(X, chosen[:, : self.offers.n_var])]
            if len(rows):
                return rows
        return ranked[:0]

    def _best_offers_first(
        self,
        rows: Expected,
        posterior: Posterior,
        view: View,
        turn: acquisition.Turn,
        function: acquisition.Acquisition,
    ) -> Expected:
        """Return rows that promise much alone, the first of those whose training promises most with all its points."""
        n_points = len(self.offers.choices)
        if n_points == 1:
            return rows
        _, first = np.unique(rows.X[:, : self.offers.n_var], axis=0, return_index=True)
        rows = rows[np.sort(first)[:N_BEST]]
        points = view.of(posterior.expect(self.offers.of(rows.X)))
        gains = acquisition.gains_of_offers(points, n_points, view.front, view.posterior, turn, function)
        return rows[np.argsort(-gains, kind="stable")]

    def _varied(self, X: Array, n: int, eta: float, *, crossed: bool = True) -> Array:
        """Make ``n`` mutants of random rows, of crossings of two if so wished."""
        space, parents = self.offers.space, X[self.rng.integers(len(X), size=n)]
        children = parents
        if crossed:
            mates = X[self.rng.integers(len(X), size=n)]
            children = SpaceCrossover(space).crossed(np.stack([parents, mates]), self.rng)[0]
        return self.offers.mended(SpaceMutation(space, eta=eta).mutated(children, self.rng), parents, self.rng)


def _ranked(rows: Expected, scores: Array) -> tuple[Expected, Array]:
    """Return rows and their scores, the best first."""
    order = np.argsort(-scores, kind="stable")
    return rows[order], scores[order]


def _survivors(F: Array, n: int) -> npt.NDArray[np.int64]:
    """Return the rows that NSGA-II's survival keeps: by rank, and in the last rank by crowding distance."""
    import moocore
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

    rank = np.asarray(moocore.pareto_rank(F))
    kept: list[int] = []
    for level in range(int(rank.max()) + 1):
        rows = np.flatnonzero(rank == level)
        if len(kept) + len(rows) > n:
            rows = rows[np.argsort(-calc_crowding_distance(F[rows]), kind="stable")[: n - len(kept)]]
        kept += rows.tolist()
        if len(kept) == n:
            break
    return np.array(kept)


def any_equal(X: Array, rows: Array) -> Mask:
    """Return which of ``(n, n_var)`` rows are among ``(m, n_var)`` others, ``(n,)``."""
    return np.asarray((X[:, None, :] == rows[None]).all(axis=2).any(axis=1))
