import pytest

from evo_moo.cli.devices.store import DEVICES, file_of, known_devices
from evo_moo.errors import UsageError


def test_a_device_has_a_file_below_the_name_of_the_problem():
    assert file_of("nasbench201", "pixel-3.1") == DEVICES / "nasbench201" / "pixel-3.1.csv"
    assert file_of("/some/where/nets.py:Net", "phone") == DEVICES / "Net" / "phone.csv"
    assert file_of("pymoo:zdt1", "phone") == DEVICES / "zdt1" / "phone.csv"


@pytest.mark.parametrize("name", ["", "../phone", "a/b", ".hidden", "a b"])
def test_names_that_are_no_files_are_refused(name):
    with pytest.raises(UsageError, match=r"a device must be named by letters, digits, _, . and -, but is"):
        file_of("nasbench201", name)


def test_tables_to_fill_in_are_no_devices(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert known_devices("nets.py:Net") == []
    file_of("Net", "phone").parent.mkdir(parents=True)
    for name in ("watch", "phone", "phone.to_measure"):
        file_of("Net", name).write_text("")
    assert known_devices("nets.py:Net") == ["phone", "watch"]
