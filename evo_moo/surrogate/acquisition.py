"""What makes a candidate worth evaluating: criteria that take turns.

How far the true front reaches is not known during a search, and every improvement of a hypervolume is measured
up to some point. A point far out rewards the ends of the front, where one objective is best and the others are
poor; there models are at their worst, and on concave fronts hardly anything else would be chosen. A point close
by never lets the ends grow. So the criteria differ in it, and some need no such point.
"""

from collections.abc import Callable

import numpy as np

from evo_moo.surrogate.hypervolume_improvement import Boxes
from evo_moo.surrogate.posterior import Belief
from evo_moo.surrogate.protocol import Array

Score = Callable[[Array], Array]

TURNS = ("inner", "directions", "direction", "wide", "end")
MANY_OBJECTIVES = 5
"""From so many objectives on, boxes are too many, and directions alone are followed."""
N_DIRECTIONS = 100
TRADE_OFF = 0.3
"""A gain in one objective counts only if it costs the others less than 1 / TRADE_OFF times as much, in ranges."""
MARGIN = 0.1
"""How far beyond the front its reference point lies, in ranges of the front."""
REST = 0.05
"""Weight of the other objectives where one is improved, or the sum of all beside a distance, in ranges."""
WORTHWHILE = 1e-3
"""Expected gain of an end, in ranges, below which its turn goes to the hypervolume."""
MOST_REPLICATED = 10
"""Of so many members of the front, those that are known the least, it is asked what another evaluation is worth."""
LEAST_GAIN = 1e-4
"""Gain of another evaluation, in the volume up to the reference point, below which something new is tried."""
CERTAIN = 1e-3
"""Share of its standard deviation that a prediction keeps where its mean is what counts."""


class Criteria:
    """The front that candidates are measured against, the scales of the objectives, and the scores.

    Args:
        F: ``(n, n_obj)`` objectives of the non-dominated feasible rows; empty while nothing is feasible.
        seen: ``(m, n_obj)`` objectives of all feasible rows, or of all rows if none is.
    """

    def __init__(self, F: Array, seen: Array) -> None:
        self.F = F
        self.exists = len(F) > 0
        self.ideal, self.worst = seen.min(axis=0), seen.max(axis=0)
        scale = F if len(F) > 2 else seen
        self.span = np.maximum(scale.max(axis=0) - self.ideal, 1e-12)
        self._wide = np.maximum(self.worst, self.ideal + (1 + MARGIN) * self.span)

    def add(self, F: Array) -> None:
        """Add ``(n, n_obj)`` points, as if they had been measured; the scales stay."""
        if self.exists:
            self.F = np.concatenate([self.F, F])

    def expect(self, F: Array) -> None:
        """Let the scales be those of the front that ``(n, n_obj)`` predicted points and the known front make."""
        if self.exists:
            self.ideal, nadir = proper_range(np.concatenate([self.F, F]))
            self.span = nadir - self.ideal

    def predicted(self, belief: Belief, optimism: float) -> Score:
        """Return the function of rows that has the predicted objectives, better by so many standard deviations."""
        width = self.worst - self.ideal

        def objectives(X: Array) -> Array:
            mean, std = belief.objectives(X)
            penalty = np.maximum(-belief.log_probability(X) - np.log(2), 0.0)
            return np.asarray(mean - optimism * std + 10 * penalty[:, None] * width)

        return objectives

    def score(self, belief: Belief, turn: int, rng: np.random.Generator, exploration: float = 1.0) -> Score:
        """Return the score of ``(n, n_var)`` rows that this turn's candidate must maximise, ``(n,)``.

        - ``inner``: hypervolume improvement of the mean, up to where trade-offs are still worth their price;
        - ``directions``: expected improvement of the best along a random direction, averaged over many;
        - ``direction``: distance of the mean from the ideal point along one random direction;
        - ``wide``: expected hypervolume improvement up to the worst values seen, so that the ends can grow;
        - ``end``: expected improvement of one objective after the other, so that each of the ends does.

        While nothing is feasible, the probability to be so is all that counts.

        Args:
            belief: What the models say.
            turn: Decides the criterion.
            rng: Source of the directions.
            exploration: How much of the predicted standard deviations counts as a chance, from 0 to 1: in
                ``directions`` of all, else of models that do not extrapolate.
        """
        if not self.exists:
            return belief.log_probability
        n_obj = len(self.span)
        turns = TURNS if n_obj < MANY_OBJECTIVES else ("directions", "direction")
        rounds, its_turn = divmod(turn, len(turns))
        criterion = turns[its_turn]
        if criterion == "end":
            return self._at_end(rounds % n_obj, belief, belief.chance(exploration))
        if criterion == "direction":
            return self._along(rng.dirichlet(np.ones(n_obj)), belief)
        if criterion == "directions":
            return self._along_many(rng.dirichlet(np.ones(n_obj), size=N_DIRECTIONS), belief, max(exploration, CERTAIN))
        if criterion == "inner":
            return self._improvement(belief, self._inner, np.full(n_obj, CERTAIN))
        return self._improvement(belief, self._wide, belief.chance(exploration))

    def instead(self, scores: Array, belief: Belief, turn: int, exploration: float = 1.0) -> Score | None:
        """Return the score to choose by if this turn's promises next to nothing, ``(n,)`` scores; else None.

        Where an end of the front is reached, expected hypervolume improvement as far as ``inner`` takes its turn. A
        model that does not extrapolate cannot tell that: what it predicts to be the best is tried.
        """
        n_obj = len(self.span)
        rounds, its_turn = divmod(turn, len(TURNS))
        at_end = self.exists and n_obj < MANY_OBJECTIVES and TURNS[its_turn] == "end"
        if not at_end or scores.max() >= np.log(WORTHWHILE) or not belief.chance(0.0)[rounds % n_obj]:
            return None
        return self._improvement(belief, self._inner, belief.chance(exploration))

    def worth_replicating(self, known: Array, new: Array, belief: Belief) -> int | None:
        """Return the row of the front of which another evaluation gains more than that of any new row; None: none.

        The gain is the hypervolume that the means are expected to add once they have moved by what is learnt.

        Args:
            known: ``(n_front, n_var)`` rows of the first ``n_front`` points of the front.
            new: ``(m, n_var)`` rows that were not evaluated.
            belief: What the models say.
        """
        if not self.exists or len(self.span) >= MANY_OBJECTIVES:
            return None
        gains = self._gains_of_another(known, belief)
        mean, step = belief.lessons(new)
        of_new = Boxes(self.F, self._inner).expected_improvement(mean, step) * np.exp(belief.log_probability(new))
        best, least = int(gains.argmax()), LEAST_GAIN * np.prod(self._inner - self.ideal)
        return best if gains[best] > max(of_new.max(), least) else None

    def _gains_of_another(self, X: Array, belief: Belief) -> Array:
        """Return the gain of another evaluation of each row of the front, of those alone that are known the least.

        A point moves for better or worse among the others; the expectation exceeds what it adds where it stands.
        """
        mean, step = belief.lessons(X)
        gains = np.zeros(len(X))
        for i in np.argsort(-(step / self.span).sum(axis=1), kind="stable")[:MOST_REPLICATED]:
            boxes, its_mean = Boxes(np.delete(self.F, i, axis=0), self._inner), mean[i : i + 1]
            as_it_stands = boxes.expected_improvement(its_mean, np.zeros_like(its_mean))
            gains[i] = (boxes.expected_improvement(its_mean, step[i : i + 1]) - as_it_stands).item()
        return gains

    @property
    def _inner(self) -> Array:
        return np.asarray(self.ideal + (1 + MARGIN) * self.span)

    def _improvement(self, belief: Belief, ref_point: Array, uncertainty: Array) -> Score:
        boxes = Boxes(self.F, ref_point)
        unit = np.prod(np.maximum(ref_point - self.ideal, 1e-12))

        def score(X: Array) -> Array:
            mean, std = belief.objectives(X)
            gain = boxes.expected_improvement(mean, std * uncertainty) / unit
            # Where there is no gain to tell rows apart, the nearest to the ideal point is the best.
            distance = ((mean - self.ideal) / self.span).sum(axis=1)
            return np.asarray(np.log(gain + 1e-30) - 1e-3 * distance * (gain < 1e-25) + belief.log_probability(X))

        return score

    def _at_end(self, objective: int, belief: Belief, uncertainty: Array) -> Score:
        """Score by the expected improvement of one objective (Jones, Schonlau & Welch 1998, eq. 15), others beside."""
        weights = np.full(len(self.span), REST)
        weights[objective] = 1.0
        best = float((((self.F - self.ideal) / self.span) @ weights).min())

        def score(X: Array) -> Array:
            mean, std = belief.objectives(X)
            value = ((mean - self.ideal) / self.span) @ weights
            gain = _expected_gain(best - value, (std * uncertainty / self.span)[:, objective])
            return np.asarray(np.log(gain + 1e-30) - 1e-3 * value * (gain < 1e-25) + belief.log_probability(X))

        return score

    def _along(self, direction: Array, belief: Belief) -> Score:
        """Score by the augmented Tchebycheff distance (Steuer & Choo 1983), as ParEGO does (Knowles 2006, eq. 2)."""
        weights = direction.max() / np.maximum(direction, CERTAIN)

        def score(X: Array) -> Array:
            scaled = (belief.objectives(X)[0] - self.ideal) / self.span
            return np.asarray(-(scaled * weights).max(axis=1) - REST * scaled.sum(axis=1) + belief.log_probability(X))

        return score

    def _along_many(self, directions: Array, belief: Belief, uncertainty: float) -> Score:
        """Score by the expected gain of the R2 indicator (Hansen & Jaszkiewicz 1998) with Tchebycheff distances.

        The distance along a direction is taken to be normal, as the objective is that decides it for the mean.
        """
        weights = 1 / np.maximum(directions, CERTAIN)
        weights /= weights.sum(axis=1, keepdims=True)
        known = (self.F - self.ideal) / self.span
        best = (known[:, None, :] * weights).max(axis=2).min(axis=0)

        def score(X: Array) -> Array:
            mean, std = belief.objectives(X)
            scaled = (mean - self.ideal) / self.span
            weighted = scaled[:, None, :] * weights
            decides = weighted.argmax(axis=2)[..., None]
            distance = np.take_along_axis(weighted, decides, axis=2)[..., 0]
            its_std = np.take_along_axis((std * uncertainty / self.span)[:, None, :] * weights, decides, axis=2)[..., 0]
            gain = _expected_gain(best - distance, its_std).mean(axis=1)
            tie = 1e-3 * scaled.sum(axis=1) * (gain < 1e-25)
            return np.asarray(np.log(gain + 1e-30) - tie + belief.log_probability(X))

        return score


def _expected_gain(gap: Array, std: Array) -> Array:
    """Return the expectation of how far a normal value exceeds 0, of mean ``gap``."""
    from scipy.special import ndtr

    std = np.maximum(std, 1e-12)
    z = gap / std
    return np.asarray(std * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)))


def proper_range(F: Array) -> tuple[Array, Array]:
    """Return the ideal and the nadir point of the part of a front whose trade-offs are worth their price.

    A point is left out if another one is much better in some objectives for little in the others: if it is
    dominated in ``F_i + TRADE_OFF * sum of the other objectives``, all in ranges of the front (Ikeda, Kita &
    Kobayashi 2001, "Failure of Pareto-based MOEAs: does non-dominated really mean near to optimal?").
    The ranges are those of what is left, found by repetition.

    Args:
        F: ``(n, n_obj)`` points.

    Returns:
        ``(n_obj,)`` ideal and nadir, the nadir greater by more than nothing.
    """
    import moocore

    front = F[moocore.is_nondominated(F)]
    while True:
        ideal, nadir = front.min(axis=0), front.max(axis=0)
        scaled = (front - ideal) / np.maximum(nadir - ideal, 1e-12)
        others = scaled.sum(axis=1, keepdims=True) - scaled
        proper = np.asarray(moocore.is_nondominated(scaled + TRADE_OFF * others))
        if proper.all():
            return ideal, np.maximum(nadir, ideal + 1e-12)
        front = front[proper]
