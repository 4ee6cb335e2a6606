import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo.deployment.watch.alarm import Alarm
from evo_moo.deployment.watch.watch import Settings, Watch, follow
from evo_moo.errors import UsageError
from tests.unit.deployment.test_model_folder import HOSTILE, card

DAY_S = 86_400
CARD = card(outputs="score", promises={}, serving={}, classes=["no", "yes"])


def rows(n: int, seed: int, *, days: float = 30.0, wrong: float = 0.1, wrong_late: float = 0.1) -> list[dict]:
    """Requests of a classifier of two groups; in the second half group b has another share of errors."""
    rng, made = np.random.default_rng(seed), []
    for i, time in enumerate(np.sort(rng.random(n)) * days * DAY_S):
        label, group = int(rng.integers(2)), "ab"[int(rng.integers(2))]
        is_wrong = rng.random() < (wrong_late if group == "b" and i > n / 2 else wrong)
        score = 0.5 + (0.5 if label != is_wrong else -0.5) * rng.uniform(0.2, 1.0)
        row = {"time": round(float(time), 3), "id": f"{i}", "output": score, "group": group, "latency_ms": 2.0}
        made.append(row | {"inputs": rng.normal(size=2).tolist(), "label": label})
    return made


def write(path: Path, made: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def raised(log: Path, state: Path | None = None, limits: tuple[str, ...] = (), **options) -> list[Alarm]:
    alarms: list[Alarm] = []
    follow(Watch(CARD, Settings(limits, **options)), log, state, alarms.append)
    return alarms


def plain(alarms: list[Alarm]) -> list[tuple]:
    return [(a.what, a.part, a.time, a.since, a.n_events, float(f"{a.measured:.6g}")) for a in alarms]


def test_a_group_that_gets_worse_is_named(tmp_path: Path) -> None:
    alarms = raised(write(tmp_path / "log.jsonl", rows(3000, 1, wrong_late=0.4)))
    first = next(each for each in alarms if each.what == "group_accuracy")
    assert first.part == "b"
    assert first.measured == pytest.approx(0.6, abs=0.12)
    assert first.expected == pytest.approx(0.9, abs=0.05)
    assert not [each for each in alarms if each.what == "inputs" or each.part == "a"]


def test_a_limit_is_the_number_that_an_alarm_names(tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", rows(1000, 2, wrong=0.2, wrong_late=0.2))
    alarms = raised(log, limits=("accuracy >= 0.9", "latency_p95_ms <= 1"))
    by_what = {each.what: each for each in alarms}
    assert by_what["accuracy"].expected == pytest.approx(0.9)
    assert by_what["accuracy"].off == pytest.approx(-0.1, abs=0.08)
    assert by_what["latency_p95_ms"].measured == 1.0


def test_fair_answers_raise_no_alarm_and_unfair_ones_do(tmp_path: Path) -> None:
    limit = ("accuracy_gap <= 0.1",)
    fair = raised(write(tmp_path / "fair.jsonl", rows(3000, 3)), limits=limit)
    unfair = raised(write(tmp_path / "unfair.jsonl", rows(3000, 3, wrong_late=0.5)), limits=limit)
    assert fair == []
    assert "a above b" in [each.part for each in unfair if each.what == "accuracy_gap"]


@settings(max_examples=5, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=4), seed=st.integers(0, 50))
def test_a_log_in_pieces_raises_the_alarms_of_the_whole(tmp_path_factory, cuts: list[int], seed: int) -> None:
    path = tmp_path_factory.mktemp("log")
    made, limits = rows(900, seed, wrong_late=0.6), ("calibration_error <= 0.05", "accuracy_gap <= 0.1")
    whole = raised(write(path / "whole.jsonl", made), limits=limits)
    alarms = []
    for end in [*sorted(cuts), len(made)]:
        log = write(path / "log.jsonl", made[:end])
        alarms += raised(log, path / "state.json", limits)
    assert plain(alarms) == plain(whole)
    assert whole


@settings(max_examples=10, deadline=None)
@given(order=st.randoms(use_true_random=False))
def test_labels_may_come_later_and_in_any_order(tmp_path_factory, order) -> None:
    path, made = tmp_path_factory.mktemp("log"), rows(600, 4, wrong=0.3)
    labels = [{"id": row["id"], "label": row.pop("label")} for row in made]
    late, early = list(labels), [*labels[300:], *made, *labels[:300]]
    order.shuffle(late)
    early[:300] = [{**each, "time": 0} for each in early[:300]]
    found = []
    for log in ([*made, *late], [*made, *late, *late[:50]], early):
        watch = Watch(CARD, Settings(("accuracy >= 0.1",)))
        follow(watch, write(path / "log.jsonl", log), None, lambda alarm: None)
        sums = [window.sums for _, window in watch.windows.rows()]
        found.append((sum(each["labelled"] for each in sums), sum(each["right"] for each in sums)))
        assert watch.reader.waiting == {}
    assert found[0] == found[1] == found[2]
    assert found[0][0] == 600


def test_a_kill_before_an_alarm_is_told_tells_it_later(tmp_path: Path) -> None:
    log, state = write(tmp_path / "log.jsonl", rows(1500, 5, wrong_late=0.6)), tmp_path / "state.json"

    def die(_: Alarm) -> None:
        raise KeyboardInterrupt

    whole = raised(log)
    with pytest.raises(KeyboardInterrupt):
        follow(Watch(CARD, Settings()), log, state, die)
    assert plain(raised(log, state)) == plain(whole)
    assert raised(log, state) == []


def test_a_state_is_of_one_watch_alone(tmp_path: Path) -> None:
    log, state = write(tmp_path / "log.jsonl", rows(20, 6)), tmp_path / "state.json"
    raised(log, state)
    with pytest.raises(UsageError, match="is of another false_alarms"):
        raised(log, state, false_alarms=1.0)
    for content in ("", "[]", "{}", "[" * 100_000, state.read_text().replace('"streams"', '"x"')):
        state.write_text(content)
        with pytest.raises(UsageError, match="`--state` must be what a watch wrote"):
            raised(log, state)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limits": ("f1 >= 1",)}, "must be on one of accuracy"),
        ({"limits": ("accuracy <= 1",)}, "must be accuracy >= NUMBER"),
        ({"limits": ("accuracy >= 2",)}, "a number that it can be"),
        ({"false_alarms": 0.0}, "must be above 0"),
        ({"false_alarms": math.nan}, "must be above 0"),
        ({"window_s": 0.0}, "at least 1 s"),
    ],
)
def test_a_wrong_setting_is_refused(options: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Watch(CARD, Settings(**options))


def test_faulty_rows_are_all_named_or_left_out(tmp_path: Path) -> None:
    good = rows(5, 7)
    bad = [{**good[0], "output": 1.5}, {"output": 0.5}, {**good[0], "label": "maybe", "latency_ms": -1}]
    log = write(tmp_path / "log.jsonl", [*good, *bad])
    with log.open("a") as file:
        file.write("{torn\n[1]\n" + json.dumps({**good[0], "group": HOSTILE * 9}) + "\n")
    with pytest.raises(UsageError) as caught:
        raised(log)
    assert [f"row {n}" in str(caught.value) for n in range(5, 12)] == [False] + [True] * 6
    assert "`label`" in str(caught.value)
    assert "`latency_ms`" in str(caught.value)
    watch = Watch(CARD, Settings())
    assert follow(watch, log, None, print, skip_faulty=True) == (0, 7)
    assert sum(window.sums["n"] for _, window in watch.windows.rows()) == 5
