import numpy as np
import pytest

from evo_moo.errors import RunFolderError, UsageError
from evo_moo.problem.search_problem import SearchProblem
from evo_moo.space.variables import Boolean, Choice, Integer, Real
from evo_moo.toolkit.devices.device_files import (
    DeviceFile,
    names_of,
    read_networks,
    require_references,
    write_networks,
)
from evo_moo.toolkit.devices.measuring import Deployment
from evo_moo.toolkit.devices.references import references
from evo_moo.toolkit.devices.table import LatencyTable


class Nets(SearchProblem):
    variables = {
        "n_layers": Integer(1, 2),
        "width_2": Integer(8, 64, when={"n_layers": 2}),
        "wide": Boolean(),
        "act": Choice(["relu", "gelu", None, "-x"]),
        "scale": Real(0.1, 1),
        "lr": Real(0.01, 1),
    }
    architecture = ["n_layers", "width_2", "wide", "act", "scale"]
    objectives = {"latency_ms": "min"}


HEADER = "network,n_layers,width_2,wide,act,scale,latency_ms"


def read(tmp_path, *lines):
    path = tmp_path / "phone.csv"
    path.write_text("\n".join([HEADER, *lines, ""]))
    return read_networks(path, Nets(), "phone").table


def faults(tmp_path, *lines):
    with pytest.raises(UsageError) as error:
        read(tmp_path, *lines)
    return [fault.removeprefix(f"`{tmp_path / 'phone.csv'}`").removeprefix(", ") for fault in error.value.faults]


def test_tables_that_are_written_are_read_again(tmp_path):
    problem, path = Nets(), tmp_path / "new" / "phone.csv"
    nets = problem.space.decode(problem.space.sample(30, np.random.default_rng(0)))
    nets = list({problem.architecture_key(net): net for net in nets}.values())
    table = LatencyTable("phone", nets, [1.5 + i for i in range(len(nets))], [0.25] * len(nets))
    write_networks(path, problem, names_of(nets), DeviceFile(table, "my machine", Deployment("torch", 4)))
    file = read_networks(path, problem, "phone")
    assert file.table.by_architecture(problem) == table.by_architecture(problem)
    assert (file.machine, file.deployment) == ("my machine", Deployment("torch", 4))


def test_a_table_to_fill_in_has_empty_latencies(tmp_path):
    problem, path = Nets(), tmp_path / "fill.csv"
    write_networks(path, problem, names_of(references(problem)))
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER and len(lines) == 11
    assert lines[1].startswith("reference_01,") and lines[10].endswith(",")
    filled = [f"{line}{number}.5" for number, line in enumerate(lines[1:], 1)]
    path.write_text("\n".join([lines[0], *filled]))
    table = read_networks(path, problem, "phone").table
    require_references(path, problem, table, references(problem))
    assert table.latencies_ms == [number + 0.5 for number in range(1, 11)]


def test_cells_are_read_as_people_and_spreadsheets_write(tmp_path):
    table = read(tmp_path, "a,2.0,16,TRUE,relu,0.5,3", "b,1,,false,none,0.5,4", "c,1,,False,'-x,.5,5")
    assert [config["act"] for config in table.configurations] == ["relu", None, "-x"]
    assert table.configurations[0] == {
        "n_layers": 2,
        "width_2": 16,
        "wide": True,
        "act": "relu",
        "scale": 0.5,
        "lr": 0.01,
    }


def test_every_fault_of_a_table_is_listed_with_its_line(tmp_path):
    found = faults(
        tmp_path,
        "a,3,,true,relu,0.5,1",
        "b,1,,maybe,relu,0.5,1",
        "c,1,,true,relu,0.5,",
        "d,1,,true,relu,0.6,-2",
        "e,1,16,true,relu,0.7,2",
        "f,2,,true,relu,0.7,2",
    )
    assert found[:4] == [
        "line 2: `n_layers` must lie between 1 and 2, but is 3",
        "line 3: `wide` must be one of false, true, but is 'maybe'",
        "line 4: `latency_ms` must be a positive number, but is empty; fill it in",
        "line 5: `latency_ms` must be a positive number, but is '-2'",
    ]
    assert "line 6: `width_2`: exists only when n_layers" in found[4]
    assert "line 7: `width_2`: must be given" in found[5]


def test_the_same_network_twice_is_refused(tmp_path):
    (fault,) = faults(tmp_path, "a,1,,true,relu,0.5,1", "b,1,,true,relu,0.50,2")
    assert fault == "line 3: the network must be another than that of line 2, but is the same; keep one of them"


def test_wrong_columns_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("n_layers,wide,act,scale,latency\n1,true,relu,0.5,1\n")
    with pytest.raises(
        UsageError,
        match=r"must have a column for each of n_layers, width_2.* but lacks `width_2`, "
        "`latency_ms`; it has n_layers, wide",
    ):
        read_networks(path, Nets(), "phone")
    with pytest.raises(UsageError, match="must be a CSV file that can be read"):
        read_networks(tmp_path / "missing.csv", Nets(), "phone")


def test_missing_references_are_named(tmp_path):
    problem = Nets()
    table = LatencyTable("phone", references(problem)[:8], [1.0] * 8)
    with pytest.raises(UsageError, match="must have all 10 reference networks, but lacks reference_09, reference_10"):
        require_references(tmp_path, problem, table, references(problem))


def test_a_place_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="must be writable, but is not"):
        write_networks(tmp_path / "file" / "phone.csv", Nets(), {})
