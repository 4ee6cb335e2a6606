import pytest
from hypothesis import HealthCheck, settings

# No test depends on how fast the machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def own_measurement_slot(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no measurement of another process on this host hold up a test."""
    monkeypatch.setenv("EVO_MOO_SLOT_DIR", str(tmp_path_factory.getbasetemp() / "slot"))
    monkeypatch.setenv("EVO_MOO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("EVO_MOO_STATE_DIR", str(tmp_path_factory.getbasetemp() / "state"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quick tests first: those of single modules, then laws, then those with processes."""
    order = ["unit", "property", "benchmarks", "golden", "integration"]
    items.sort(key=lambda item: order.index(item.path.relative_to(item.config.rootpath / "tests").parts[0]))
