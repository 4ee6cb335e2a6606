"""The arrows of the design: who may import whom."""

import ast
import importlib.metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Bottom up: a module imports only from layers below its own.
LAYERS = [
    {"errors", "seeding", "measurement", "timing", "machine", "vision", "pareto", "processes", "weights", "intervals"},
    {"continued", "scalarisation"},
    {
        "data_files",
        "fairness",
        "tabular",
        "state",
        "database",
        "migrations",
        "evaluation_row",
        "variables",
        "goals",
        "training",
        "runtimes",
        "device_latency",
        "augmentation",
        "image_files",
        "networks",
    }
    | {"reference_workload", "surrogate", "stop_signals", "ladder"},
    {"conditions", "configspace", "ledger", "folder_lock", "latency", "metrics", "model_selection", "targets"}
    | {"curves"}
    | {"acquisition", "robustness", "datasets"},
    {"space", "run_folder", "declarations"},
    {"problem", "own_files", "operators", "algorithms", "designs", "features", "fences"},
    {"belief", "cells", "computed", "track_record"},
    {"pymoo_problem", "profile_cache", "criteria", "observed", "candidate", "climbs"}
    | {"offspring_choice", "decision_rules"},
    {"promotions", "early_stopping"},
    {"infill"},
    {"plugins", "evaluation", "optimizer"},
    {"problem_version", "job_file", "prescreening", "refinement", "replication"},
    {"surrogate_optimizer"},
    {"pools", "worker", "stop_rules"},
    {"loky_pool"},
    {"dask_pool"},
    {"engine"},
    {"job_budget", "job_faults"},
    {"job_refinement"},
    {"job", "progress", "result", "plots", "decisions", "checking", "starting_file"},
    {"run_record", "batch_table", "comparisons", "confirmed", "weight_sweep"},
    {"callbacks"},
    {"run_comparison", "earlier_runs", "export_optuna", "export_mlflow", "tensorboard_writer", "archive"},
    {"validated"},
    {"permutation", "fanova", "dependence"},
    {"importance", "local_changes"},
    {"mlflow_writer"},
    {"run_setup", "assembly"},
    {"api", "audit", "doctor", "testing", "latency_report", "export"},
    {"salvage", "tables", "batch", "confirmation", "analysis_plots"},
    {
        "problem_tables",
        "surrogate_view",
        "rungs",
        "belief_tables",
        "importance_view",
        "expected_front",
        "report_columns",
        "timeline",
    },
    {"report_data", "problem_tables"},
    {"report", "figures"},
    {"cli_runs"},
    {"cli_problems", "cli_batch", "cli_belief", "cli_pick", "cli_importance", "cli_report"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
SIBLINGS = {("result", "plots"), ("plots", "result"), ("result", "decisions"), ("decisions", "result")}
MODULES = sorted(path.stem for path in (ROOT / "evo_moo").glob("*.py") if path.stem != "__init__")
FOR_SURROGATES = {"surrogate"}
FOR_PROBLEMS = {"problem", "space", "training", "latency", "device_latency", "measurement", "metrics"}
FOR_PROBLEMS |= {"data_files", "errors", "fairness", "pymoo_problem", "tabular"}
FOR_PROBLEMS |= {"datasets", "networks", "augmentation", "robustness"}


def imported(path: Path) -> set[str]:
    """Names of the evo_moo modules that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"evo_moo.{alias.name}" for alias in node.names} if node.module == "evo_moo" else {node.module}
    return {name.split(".")[1] for name in names if name and name.startswith("evo_moo.")}


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_from_lower_layers(module: str) -> None:
    for name in imported(ROOT / "evo_moo" / f"{module}.py"):
        assert RANK[name] < RANK[module] or (module, name) in SIBLINGS, f"{module} must not import {name}"


def test_the_engine_names_no_problem_and_no_surrogate() -> None:
    for module in [*MODULES, "__init__"]:
        assert not imported(ROOT / "evo_moo" / f"{module}.py") & {"problems", "surrogates"}


@pytest.mark.parametrize("path", sorted((ROOT / "problems").glob("*.py")), ids=lambda path: path.stem)
def test_problems_import_only_what_users_do(path: Path) -> None:
    assert imported(path) <= FOR_PROBLEMS


@pytest.mark.parametrize("path", sorted((ROOT / "surrogates").glob("*.py")), ids=lambda path: path.stem)
def test_surrogates_import_only_the_protocol(path: Path) -> None:
    assert imported(path) <= FOR_SURROGATES


def test_problems_and_surrogates_are_flat() -> None:
    for folder in ("problems", "surrogates"):
        assert [p.name for p in (ROOT / folder).iterdir() if p.is_dir() and p.name != "__pycache__"] == []


@pytest.mark.parametrize("folder", ["problems", "surrogates"])
def test_every_plugin_file_is_registered(folder: str) -> None:
    registered = {point.value for point in importlib.metadata.entry_points(group=f"evo_moo.{folder}")}
    modules = {value.partition(":")[0].rpartition(".")[2] for value in registered}
    assert modules == {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
