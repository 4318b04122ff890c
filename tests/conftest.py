"""The whole suite uses what users get."""

import os
from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["switchyard.testing"]

# A build must fail neither by the luck of a draw nor by a slow machine; people and nightly runs draw anew each time.
hypothesis.settings.register_profile(
    "switchyard",
    derandomize=bool(os.environ.get("CI")),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("switchyard")


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """Tests that run Flink's Python functions in this process, and no mini-cluster of ours, leave nothing to others."""
    from switchyard.testing.process_state import ProcessState

    state = ProcessState()
    yield
    state.restore()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-recovery", action="store_true", help="tests/recovery: every kill, 200 workflows each")
    parser.addoption("--kill", action="append", help="tests/recovery: this one alone; may be repeated")
    parser.addoption("--full-wheel", action="store_true", help="tests/stack/test_wheel.py: install it, run the demo")
    parser.addoption("--seed", type=int, help="tests/recovery, test_storm.py: the one that an earlier run printed")
    parser.addoption("--storms", help="tests/core/test_storm.py: how many examples, or FIRST:END")
