"""Sources that do not learn, to compare others with: random, a Sobol sequence, a grid."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pymoo.core.population import Population

from evo_moo.errors import UsageError
from evo_moo.optimizer.algorithms import BASELINES
from evo_moo.optimizer.source import Made, Scene, Source
from evo_moo.space.designs import Design, GridDesign, GridPoints, SobolDesign, new_rows
from evo_moo.space.search_space import SearchSpace


class Fixed(Source):
    """Makes the configurations to begin with, and then the rows of a fixed design.

    Args:
        space: The search space.
        name: ``"random"``, ``"sobol"`` or ``"grid"``.
        seed: Seed of the design.
        start: Encoded rows to begin with.
        grid_points: Values of a grid, as in ``GridDesign``.

    Raises:
        UsageError: There is no such design.
    """

    def __init__(
        self, space: SearchSpace, name: str, seed: int, start: Sequence[bytes], grid_points: GridPoints | None
    ) -> None:
        if name not in BASELINES:
            raise UsageError(f"a fixed design must be one of {', '.join(BASELINES)}, but is {name!r}")
        self._space, self._name, self._start, self._grid_points = space, name, start, grid_points
        self.fills_up = name != "grid"
        self._position = 0
        self._lay_out(seed)

    def _lay_out(self, seed: int) -> None:
        self._seed = seed
        self._design: Design | None = None  # random rows fill up what a design does not make
        if self._name == "grid":
            self._design = grid = GridDesign(self._space, seed, self._grid_points)
            self.kind = [len(grid)]
        elif self._name == "sobol":
            self._design = SobolDesign(self._space, seed)

    def make(self, n: int, scene: Scene) -> tuple[Population, list[Made]]:
        """Return the next rows of the design that were not asked for yet."""
        rows = [row.tobytes() for row in scene.fresh.new_of(self._start)]
        if self._design is not None:
            n = min(n, scene.fresh.left())
            new, self._position = new_rows(self._design, self._position, n, rows, scene.fresh.are_new)
            rows += new
        X = np.frombuffer(b"".join(rows)).reshape(-1, self._space.n_var)
        return Population.new(X=X), []

    def dump(self, with_seen: bool) -> dict[str, Any]:
        """Return where the design stands."""
        return {"design": [self._seed, self._position] if self._design is not None else None}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue the design from where it stood."""
        if state["design"] is not None:
            seed, self._position = state["design"]
            self._lay_out(seed)
