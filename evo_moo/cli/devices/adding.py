"""What a device is made of: the reference networks, measured here or read from a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evo_moo.cli.devices.store import file_of, read_device
from evo_moo.errors import ProblemError, UsageError
from evo_moo.evaluation.machine import cpu_model
from evo_moo.job.file import problem_options
from evo_moo.plugins import ProblemSource, absolute_reference
from evo_moo.toolkit.devices.device import Device
from evo_moo.toolkit.devices.device_files import (
    DeviceFile,
    names_of,
    read_networks,
    require_references,
    write_networks,
)
from evo_moo.toolkit.devices.measuring import Deployment, measure_networks
from evo_moo.toolkit.devices.references import references

if TYPE_CHECKING:
    from evo_moo.problem.search_problem import Configuration, SearchProblem


@dataclass(frozen=True)
class AddedDevice:
    """A device that was added.

    Attributes:
        device: The device, by its reference networks.
        path: Its file.
        networks: The reference networks, by the variables of the architecture.
        n_new: Number of networks beside the references.
    """

    device: Device
    path: Path
    networks: "list[Configuration]"
    n_new: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "device": self.device.name,
            "file": str(self.path),
            "reference_ms": list(self.device.reference_ms),
            "features": self.device.features.tolist(),
            "low_ms": self.device.low_ms,
            "span_ms": self.device.span_ms,
            "other_networks": self.n_new,
        }


def problem_of(reference: str, options: Sequence[str] | None) -> "SearchProblem":
    """Build the problem that a command names.

    Raises:
        EvoMooError: It cannot be found, or is wrong.
    """
    return ProblemSource(absolute_reference(reference, Path()), problem_options(options or [])).build()


def write_references(problem: "SearchProblem", reference: str, output: Path, onnx: Path | None) -> list[Path]:
    """Write the reference networks as a table to fill in, and as ONNX files where a folder for these is named."""
    networks = names_of(references(problem))
    write_networks(output, problem, networks)
    return [output, *(write_onnx(problem, networks, onnx) if onnx else [])]


def write_onnx(problem: "SearchProblem", networks: "dict[str, Configuration]", folder: Path) -> list[Path]:
    """Write untrained networks as ONNX files, for runtimes that know no Python.

    Raises:
        ProblemError: The problem shows no network.
        UsageError: A package is missing.
        RunFolderError: A file cannot be written.
    """
    from evo_moo.files import guarded_writes, make_folder, write_whole
    from evo_moo.toolkit.runtimes import onnx_file
    from evo_moo.toolkit.training import evaluation_mode

    if not problem.has_network:
        raise ProblemError(f"`{problem.name()}` must define `network(self, config)` for --onnx, but does not")
    written = []
    for name, config in networks.items():
        model, example = problem.network(config)
        try:
            with evaluation_mode(model):
                content = onnx_file(model, example if isinstance(example, tuple) else (example,))
        except ImportError as error:
            raise UsageError(f"`--onnx` must have onnx: {error}") from error
        with guarded_writes(folder):
            make_folder(folder.absolute())
            write_whole(folder / f"{name}.onnx", content)
        written.append(folder / f"{name}.onnx")
    return written


def add_measured(
    problem: "SearchProblem", reference: str, name: str, deployment: Deployment, rounds: int
) -> AddedDevice:
    """Measure the reference networks on this machine, and keep them."""
    path = file_of(reference, name)
    table = measure_networks(problem, name, references(problem), deployment, rounds)
    return keep(problem, path, DeviceFile(table, cpu_model(), deployment))


def add_table(problem: "SearchProblem", reference: str, name: str, csv: Path) -> AddedDevice:
    """Keep a table of latencies measured elsewhere; of a device that is known it adds to what there is.

    Raises:
        UsageError: The table is wrong; all faults are listed.
    """
    path, given = file_of(reference, name), read_networks(csv, problem, name)
    if path.is_file() and path.resolve() != csv.resolve():
        old = read_device(reference, name, problem)
        given = old._replace(table=old.table.joined(problem, given.table))
    require_references(csv, problem, given.table, references(problem))
    return keep(problem, path, given)


def keep(problem: "SearchProblem", path: Path, file: DeviceFile) -> AddedDevice:
    """Write a device's file, and return what was added; the reference networks come first.

    Raises:
        MetricError: The latencies of the reference networks make no device.
        RunFolderError: The file cannot be written.
    """
    chosen = references(problem)
    device = Device(file.table.device, tuple(file.table.column(problem, chosen)))
    networks = names_of(chosen)
    known = {problem.architecture_key(config) for config in chosen}
    others = [config for config in file.table.configurations if problem.architecture_key(config) not in known]
    write_networks(path, problem, networks | {f"network_{i:03}": c for i, c in enumerate(others, 1)}, file)
    shown = [{n: v for n, v in c.items() if n in (problem.architecture or c)} for c in chosen]
    return AddedDevice(device, path, shown, len(others))
