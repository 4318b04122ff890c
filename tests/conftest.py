"""The whole suite uses what users get."""

import os

import hypothesis

pytest_plugins = ["switchyard.testing.fixtures"]

# A build must not fail by the luck of a draw; people and nightly runs draw anew each time.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")
