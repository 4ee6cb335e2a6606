import pytest

from evo_moo.problem.command.printed import LONGEST, PrintedObjects


def read(*pieces: str) -> tuple[list[object], PrintedObjects]:
    objects = PrintedObjects()
    found = [each for piece in pieces for each in objects.feed(piece)]
    return [*found, *objects.end()], objects


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}\n', [{"a": 1}]),
        ('noise\n {"a": 1} \r\n{"a": 2}', [{"a": 1}, {"a": 2}]),
        ('{\n "a": [\n  {\n   "b": 1\n  }\n ]\n}\n', [{"a": [{"b": 1}]}]),
        ('50%|###|\r100%|####|\r{"a": 1}\n', [{"a": 1}]),
        ('{"a": 1\n[1]\n"x"\n{}}\n', []),
        ('{\n{"a": 1}\n', [{"a": 1}]),
        ("{" * 100_000 + "}\n", []),
        ('{"a": NaN}\n', [{"a": pytest.approx(float("nan"), nan_ok=True)}]),
    ],
)
def test_objects_are_lines_or_blocks(text: str, found: list[object]) -> None:
    assert read(text)[0] == found
    assert read(*text)[0] == found, "piece by piece"


def test_long_lines_are_dropped_and_do_not_hide_the_next() -> None:
    found, objects = read('{"a": "', *["x" * 1000] * (LONGEST // 1000 + 1), '"}\n', '{"a": 2}\ndone\n\n')
    assert found == [{"a": 2}]
    assert objects.last == {"a": 2}
    assert objects.last_line == "done"
