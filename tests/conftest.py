from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# No test depends on how fast the machine is.
settings.register_profile("patient", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="session")
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no measurement of another process hold up a test, and nothing be kept outside of the tests' folders."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("slot", "cache", "state"):
            environment.setenv(f"EVO_MOO_{name.upper()}_DIR", str(tmp_path_factory.getbasetemp() / name))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests of single modules first, then laws, then those with processes; the quick ones of each come last."""
    order = ["unit", "property", "benchmarks", "golden", "integration"]

    def place(item: pytest.Item) -> tuple[int, bool]:
        folder = item.path.relative_to(item.config.rootpath / "tests").parts[0]
        return order.index(folder), item.get_closest_marker("slow") is None

    items.sort(key=place)
