"""Which models are loaded for a member of the moment."""

import pytest

from evo_moo.deployment.serving.members import Member
from evo_moo.deployment.serving.warm_pool import warm

MEMBERS = [Member(str(i), i, (float(i + 1),), memory_mb=10) for i in range(5)]


@pytest.mark.parametrize(
    ("current", "memory_mb", "names"),
    [(3, float("inf"), "01234"), (3, 0, "03"), (3, 30, "034"), (3, 40, "0234"), (0, 25, "01")],
)
def test_neighbours_are_loaded_as_the_memory_takes_them(current: int, memory_mb: float, names: str) -> None:
    assert "".join(warm(MEMBERS, current, memory_mb)) == names
