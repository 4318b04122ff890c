"""The whole suite uses what users get."""

pytest_plugins = ["switchyard.testing.fixtures"]
