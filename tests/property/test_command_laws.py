"""What no value can do to a command: add an argument, split one, or be read again."""

import json
import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from evo_moo import Boolean, Choice, CommandProblem, Real
from evo_moo.problem.command.template import filled, filled_arguments

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
HOSTILE = st.sampled_from(
    ["{seed}", "{{", "}", "-x", "--lr", "; rm -rf /", "$(id)", "`id`", "a\nb", '"', "'", "\\", ""]
)
VALUES = TEXTS | HOSTILE | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.lists(st.integers())
NAMES = ("a", "b", "c")
PIECES = st.sampled_from(["x", "--k=", "{a}", "{b}", "{c}", "{{", "}}", " ", "="])
ARGUMENTS = st.lists(PIECES, min_size=1, max_size=4).map("".join)
PLAIN = "plain"


@given(
    st.lists(ARGUMENTS, max_size=6),
    st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES.filter(lambda v: type(v) is not bool))),
)
def test_every_argument_stays_one_whatever_the_values(command: list[str], values: dict[str, object]) -> None:
    """The same arguments as with plain values, each with the values in place of these."""
    arguments = filled_arguments(command, values)
    assert arguments == [filled(text, values) for text in command]
    assert len(arguments) == len(filled_arguments(command, dict.fromkeys(NAMES, PLAIN)))


@given(st.lists(ARGUMENTS, max_size=6), st.sets(st.sampled_from(NAMES)))
def test_inactive_variables_only_take_arguments_away(command: list[str], inactive: set[str]) -> None:
    whole = dict.fromkeys(NAMES, PLAIN)
    arguments = filled_arguments(command, whole)
    fewer = filled_arguments(command, {name: value for name, value in whole.items() if name not in inactive})
    left = iter(arguments)
    assert all(each in left for each in fewer), "in the same order"


@settings(max_examples=5, deadline=None)
@given(st.lists(TEXTS | HOSTILE, min_size=2, max_size=2, unique=True), st.floats(1e-4, 1.0), st.booleans())
def test_programs_get_the_very_values_as_by_the_shown_line(options: list[str], lr: float, flag: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "show.py")
        script.write_text("import json, sys; print(json.dumps({'got': sys.argv[1:], 'n': len(sys.argv)}))")
        variables = {"text": Choice(options), "lr": Real(1e-4, 1), "flag": Boolean()}
        command = ["{python}", "show.py", "--text", "{text}", "--lr={lr}", "--flag", "{flag}", "end"]
        problem = CommandProblem(command, variables, {"n": "max"}, directory=folder)
        problem.check()
        config = {"text": options[0], "lr": lr, "flag": flag}
        got = ["--text", options[0], f"--lr={lr!r}", *["--flag"] * flag, "end"]
        assert problem.evaluate(config) == {"got": got, "n": len(got) + 1}
        words = problem.call(config, Path("w")).in_words()
        done = subprocess.run(["bash", "-c", words], capture_output=True, check=True)
        assert json.loads(done.stdout)["got"] == got
