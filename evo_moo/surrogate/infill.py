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

from evo_moo.pareto import pareto_rows
from evo_moo.space.operators import SpaceCrossover, SpaceMutation
from evo_moo.space.search_space import SearchSpace
from evo_moo.surrogate import acquisition
from evo_moo.surrogate.evaluated import Evaluated
from evo_moo.surrogate.features import Features
from evo_moo.surrogate.front import Front
from evo_moo.surrogate.posterior import MetricModel, Posterior
from evo_moo.surrogate.protocol import Array

Mask = npt.NDArray[np.bool_]

N_RANDOM, N_AROUND, N_CLOSE = 100, 150, 100
N_EVOLVED, N_GENERATIONS = 60, 12
N_BEST, N_CHILDREN = 30, 60
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
        space: The space of the rows.
        rng: Source of all randomness.
        is_new: Returns which rows of an ``(n, n_var)`` array may be asked for at all, ``(n,)``.
        exploration: How much of the models' uncertainty counts as a chance, from 0 to 1.
        turn: Number of rows chosen before: acquisition functions take turns.
        pending: ``(m, n_var)`` rows that are being evaluated.
        learn: From ``(n, n_var)`` rows and ``(n,)`` values to the model of them.
    """

    space: SearchSpace
    rng: np.random.Generator
    is_new: Callable[[Array], Mask]
    exploration: float
    turn: int
    pending: Array
    learn: Callable[[Array, Array], MetricModel]

    def batch(self, posterior: Posterior, evaluated: Evaluated, n: int, offspring: Array, may_replicate: bool) -> Array:
        """Choose up to ``n`` rows.

        Args:
            posterior: What the models expect, pending evaluations included.
            evaluated: What was measured.
            n: Number of rows.
            offspring: ``(m, n_var)`` rows made by the evolutionary algorithm, which join the pool.
            may_replicate: Whether a row of the front is chosen again where another evaluation of it is expected to gain
                more than that of any new row; the first calls then try some, one each.
        """
        F, feasible = evaluated.F, evaluated.violation <= 0
        # While nothing is feasible, the best rows are the nearest to it.
        best = pareto_rows(F, evaluated.violation)
        front = Front.of(F[best], F[feasible]) if feasible.any() else Front.of(F[:0], F)
        known = evaluated.X[best]
        pool = self._pool(posterior, known, front, offspring)
        front = front.expecting(posterior.cautious(pool)[0][posterior.log_probability(pool) > np.log(0.5)])
        functions = acquisition.functions_for(front)
        chosen, n_replicates = np.empty((0, self.space.n_var)), evaluated.n_replicates
        most_replicates = REPLICATED * (len(evaluated.X) + n_replicates) if may_replicate and front.exists else 0
        for i in range(n):
            rounds, position = divmod(self.turn + i, len(functions))
            learn = partial(self._learnt, posterior.features, evaluated, np.concatenate([self.pending, chosen]))
            turn = acquisition.Turn(rounds, self.rng, self.exploration, evaluated.scaled, learn)
            pool, scores = self._refined(pool, functions[position](front, posterior, turn))
            if other := acquisition.score_instead(functions[position], scores, front, posterior, turn):
                pool, scores = self._refined(pool, other)
            ranked = pool[np.argsort(-scores, kind="stable")]
            new = ranked[self.is_new(ranked) & ~any_equal(ranked, chosen)][:1]
            if not len(new):
                break
            row = None
            if n_replicates < most_replicates:
                if i == 0 and n_replicates < N_TRIALS:
                    row = int(self.rng.integers(len(known)))
                else:
                    row = acquisition.worth_replicating(front, known, ranked[self.is_new(ranked)], posterior)
                n_replicates += row is not None
            latest = new if row is None else known[[row]]
            chosen = np.concatenate([chosen, latest])
            if i + 1 < n:
                posterior = posterior.with_fantasies(latest)
                if row is None and posterior.log_probability(new)[0] > np.log(0.5):
                    front = front.with_points(posterior.cautious(new)[0])
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

    def _pool(self, posterior: Posterior, best: Array, front: Front, offspring: Array) -> Array:
        drawn = self.space.sample(N_RANDOM, self.rng)
        around, close = self._varied(best, N_AROUND, STEPS[0]), self._varied(best, N_CLOSE, STEPS[2])
        start = np.concatenate([best, drawn[:40], around[:40]])
        evolved = [self._evolved(start, acquisition.predicted(front, posterior, optimism)) for optimism in (0.0, 1.0)]
        return np.concatenate([drawn, around, close, offspring, *evolved])

    def _evolved(self, X: Array, objectives: Callable[[Array], Array]) -> Array:
        """Evolve rows towards the predicted front by non-dominated sorting, as NSGA-II does."""
        F = objectives(X)
        for _ in range(N_GENERATIONS):
            kept = _survivors(F, N_EVOLVED)
            children = self._varied(X[kept], N_EVOLVED, STEPS[0])
            X, F = np.concatenate([X[kept], children]), np.concatenate([F[kept], objectives(children)])
        return X[_survivors(F, N_EVOLVED)]

    def _refined(self, pool: Array, score: Callable[[Array], Array]) -> tuple[Array, Array]:
        """Return the pool with descendants of the best rows, and all scores."""
        X, scores = pool, score(pool)
        best, best_scores = X, scores
        for step, eta in enumerate(STEPS):
            top = np.argsort(-best_scores, kind="stable")[: N_BEST if step % 2 == 0 else N_BEST // 3]
            children = self._varied(best[top], N_CHILDREN, eta, crossed=step % 2 == 0)
            children_scores = score(children)
            best, best_scores = np.concatenate([best[top], children]), np.append(best_scores[top], children_scores)
            X, scores = np.concatenate([X, children]), np.append(scores, children_scores)
        return X, scores

    def _varied(self, X: Array, n: int, eta: float, *, crossed: bool = True) -> Array:
        """Make ``n`` mutants of random rows, of crossings of two if so wished."""
        children = X[self.rng.integers(len(X), size=n)]
        if crossed:
            mates = X[self.rng.integers(len(X), size=n)]
            children = SpaceCrossover(self.space).crossed(np.stack([children, mates]), self.rng)[0]
        return SpaceMutation(self.space, eta=eta).mutated(children, self.rng)


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
