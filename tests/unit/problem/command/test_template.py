import pytest

from evo_moo.problem.command.template import filled_arguments, filled_table, names_in

VALUES = {
    "lr": 1e-05,
    "layers": 3,
    "opt": "a b; $(rm) {lr}",
    "on": True,
    "off": False,
    "sizes": [64, 32],
    "nothing": None,
}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["p", "--lr", "{lr}", "--layers={layers}"], ["p", "--lr", "1e-05", "--layers=3"]),
        (["p", "x{{y}}{layers}"], ["p", "x{y}3"]),
        (["p", "{opt}"], ["p", "a b; $(rm) {lr}"]),
        (["p", "--on", "{on}", "--off", "{off}", "z"], ["p", "--on", "z"]),
        (["p", "on={on}", "{off}"], ["p", "on=true", "false"]),
        (["p", "{sizes}"], ["p", "[64, 32]"]),
        (["p", "--gone", "{gone}", "--gone={gone}", "{gone}", "--none", "{nothing}", "z"], ["p", "z"]),
        (["p", "-v", "--gone={gone}"], ["p", "-v"]),
        (["p", "--out", "x-{gone}"], ["p"]),
        (["p", "--pad", "-1", "{gone}"], ["p", "--pad", "-1"]),
        (["p", "--pair", "{gone}", "{gone}", "z"], ["p", "z"]),
        (["p", "--verbose", ["{gone}"]], ["p", "--verbose"]),
        (["p", ["--betas", "{lr}", "{gone}"], ["--two", "{layers}", "{lr}"]], ["p", "--two", "3", "1e-05"]),
        (["p", ["--on", "{on}", "--off", "{off}"]], ["p", "--on"]),
        (["p", "--", "{gone}", "z"], ["p", "--", "z"]),
    ],
)
def test_arguments_follow_the_values(command: list[object], arguments: list[str]) -> None:
    assert filled_arguments(command, VALUES) == arguments


def test_table_takes_typed_values_and_drops_missing_ones() -> None:
    template = {
        "optim": {"lr": "{lr}", "name": "{gone}", "decay": "{nothing}"},
        "sizes": "{sizes}",
        "list": ["{layers}", "{gone}", "n-{layers}"],
        "fixed": [1, True],
    }
    expected = {"optim": {"lr": 1e-05, "decay": None}, "sizes": [64, 32], "list": [3, "n-3"], "fixed": [1, True]}
    assert filled_table(template, VALUES) == expected


def test_names_are_read_at_any_depth_and_lone_braces_refused() -> None:
    assert names_in(["{a}-{b}", ["{{c}}"], {"d": {"e": "{a}{f.g}"}}, 3]) == ["a", "b", "f.g"]
    with pytest.raises(ValueError, match="a brace of its own is written"):
        names_in("{a")
