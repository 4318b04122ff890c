"""An app's own functions for SQL: `udfs.py` can be loaded, and sent to a cluster."""

from __future__ import annotations

from collections.abc import Iterator

from switchyard.cli.linting.problem import Problem
from switchyard.core.app import App


def unusable_udfs(app: App) -> Iterator[Problem]:
    """The first thing wrong with the file; nothing where the app has none."""
    from switchyard.flink.udf_modules import UdfError, load_functions

    try:
        load_functions(app)
    except UdfError as error:
        yield Problem(error.file, error.line, error.message)
