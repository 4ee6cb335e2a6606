from pathlib import Path

import pytest

from evo_moo.problem.command.files import file_digests, script_name


def test_digests_are_of_scripts_modules_data_and_named_files(tmp_path: Path) -> None:
    texts = {
        "train.py": "import helper, json\n",
        "helper.py": "x = 1\n",
        "data.csv": "1,2\n",
        "base.yaml": "a: 1\n",
        "lib/one.sh": "",
        "pkg/__init__.py": "",
        "pkg/run.py": "from pkg import part\n",
        "pkg/part.py": "",
        "python": "a file of the name of the interpreter",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    command = ["python", "train.py", "{directory}/data.csv", "--config=base.yaml", "{lr}.csv", "lib", "no-file"]
    digests = file_digests(command, ["lib/*.sh"], tmp_path)
    assert list(digests) == ["base.yaml", "data.csv", "helper.py", "lib/one.sh", "train.py"]
    assert list(file_digests(["python", "-m", "pkg.run"], [], tmp_path)) == [
        "pkg/__init__.py",
        "pkg/part.py",
        "pkg/run.py",
    ]
    (tmp_path / "helper.py").write_text("x = 1  # a comment\n")
    (tmp_path / "data.csv").write_text("1,3\n")
    later = file_digests(command, ["lib/*.sh"], tmp_path)
    assert later["helper.py"].split()[2:] == digests["helper.py"].split()[2:]
    assert later["data.csv"] != digests["data.csv"] and later["base.yaml"] == digests["base.yaml"]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "src/train.py", "{lr}"], "train"),
        (["{python}", "-u", "train.py"], "train"),
        (["./bin/solver", "{x}"], "solver"),
        (["bash"], "bash"),
        (["{tool}", "{x}"], "command"),
        ([], "command"),
    ],
)
def test_name_is_that_of_the_script_or_the_program(command: list[str], name: str) -> None:
    assert script_name(command) == name
