"""Whatever a file holds, no command shows a traceback of ours or hangs; ``tests.benchmarks fuzz`` tries many more."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.fuzz import Fuzz

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzz]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        patch.setattr("evo_moo.report.page.write_report_at_end", lambda path: None)
        patch.chdir(Path())  # and back again
        yield Fuzz(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize(
    ("target", "numbers"),
    [
        ("job", range(10)),
        ("problem", [*range(8), 962]),
        ("ledger", [*range(3), 774, 790]),
        ("environment", range(3)),
        ("weights", range(10)),
    ],
)
def test_a_mutated_file_breaks_no_command(fuzz: Fuzz, target: str, numbers: Sequence[int]) -> None:
    assert list(fuzz.faults(target, numbers)) == []
