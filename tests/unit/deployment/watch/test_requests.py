import pytest

from evo_moo.deployment.watch.requests import MOST_GROUPS, Reader
from tests.unit.deployment.test_model_folder import card

CARD = card(outputs="probabilities", classes=["cat", "dog"])
ROW = {"time": "2026-11-30T12:00:00Z", "output": [0.2, 0.8]}


def read(*records: dict, reader: Reader | None = None) -> tuple[list, list[str]]:
    return (reader or Reader(CARD)).read(records, 1)


def test_a_row_is_read_with_what_it_has() -> None:
    (one, other), faults = read(
        ROW | {"label": "dog", "group": 3, "status": 503, "input.b": 2, "input.a": None}, {"time": 1, "prediction": 0}
    )
    assert faults == []
    assert (one.label, one.group, one.failed, one.inputs[1]) == (1.0, "3", True, 2.0)
    assert one.inputs[0] != one.inputs[0]  # missing
    assert other.time == one.time  # the clock never falls
    assert (other.prediction, other.output, other.inputs) == (0.0, None, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": None}, "`time` must be ISO 8601"),
        ({"time": 1_790_000_000_000}, "`time` must be ISO 8601"),
        ({"time": True}, "`time` must be ISO 8601"),
        ({"output": [0.1, 0.2, 0.7]}, "`output` must be the 2 probabilities"),
        ({"output": [float("nan"), 1.0]}, "must be a flat list of finite numbers"),
        ({"output": ["a", {}]}, "must be a flat list of finite numbers"),
        ({"output": [-0.5, 1.5]}, "must be between 0 and 1"),
        ({"label": 2}, "`label` must be the number of a class"),
        ({"label": "cow"}, "`label` must be the number of a class"),
        ({"prediction": 0.5}, "`prediction` must be the number of a class"),
        ({"latency_ms": float("inf")}, "`latency_ms` must be a number of at least 0"),
        ({"group": []}, "`group` must be a name"),
        ({"id": "x" * 300}, "`id` must be a name"),
        ({"inputs": 5}, "`inputs` must be a flat list"),
        ({"inputs": []}, "`inputs` must be a flat list"),
    ],
)
def test_nonsense_is_named(change: dict, words: str) -> None:
    requests, faults = read(ROW | change)
    assert requests == []
    assert len(faults) == 1
    assert faults[0].startswith("row 1: ")
    assert words in faults[0]


def test_rows_must_fit_to_those_before() -> None:
    _, faults = read(ROW | {"inputs": [1, 2]}, ROW | {"inputs": [1]})
    assert faults == ["row 2: `inputs` must have 2 numbers, as the rows before, but has 1"]
    many = [ROW | {"group": f"g{i}"} for i in range(MOST_GROUPS + 1)]
    assert [f"at most {MOST_GROUPS} names" in fault for fault in read(*many)[1]] == [True]


def test_samples_of_one_request_have_one_latency() -> None:
    rows = [ROW | {"latency_ms": 2.0}] * 3 + [ROW | {"latency_ms": 3.0}]
    assert [each.latency_ms for each in read(*rows)[0]] == [2.0, None, None, 3.0]


def test_rows_of_another_model_are_left_out() -> None:
    rows = [ROW | {"model": "a"}, ROW | {"model": "b"}, ROW]
    assert [each.row for each in read(*rows, reader=Reader(CARD, "a"))[0]] == [1, 3]
