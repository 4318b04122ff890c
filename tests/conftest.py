"""The whole suite uses what users get."""

import os

import hypothesis
import pytest

pytest_plugins = ["switchyard.testing.fixtures"]

# A build must not fail by the luck of a draw; people and nightly runs draw anew each time.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-recovery", action="store_true", help="tests/recovery: every kill, 200 workflows each")
    parser.addoption("--seed", type=int, help="tests/recovery: the moments of the kills, as an earlier run printed it")
