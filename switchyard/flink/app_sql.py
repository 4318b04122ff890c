"""What an app brings to a job, in the order in which it is loaded: see sql/README.md.

`${namespace}` in an app's files stands for the job's namespace; any other `$` stands for itself, as in JSON paths.
"""

from __future__ import annotations

from switchyard.core.app import App
from switchyard.flink import udf_modules
from switchyard.flink.tables import TABLES as SHARED
from switchyard.flink.tables import Loader

TABLES, REQUESTS, DISPATCH, SINKS = "tables.sql", "requests.sql", "dispatch.sql", "sinks.sql"
FILES = (TABLES, REQUESTS, DISPATCH, SINKS)
"""The SQL files of an app, in their order; only requests.sql and dispatch.sql must be there."""


def load_requests(app: App, namespace: str, loader: Loader) -> None:
    """The app's functions, its own tables and its rules, up to `routing_requests`. Raises SqlError, UdfError."""
    udf_modules.register_functions(app, loader.environment)
    if (app.sql / TABLES).is_file():
        loader.load_own(app.sql / TABLES, namespace)
    loader.load_own(app.sql / REQUESTS, namespace)


def load_dispatch(app: App, namespace: str, loader: Loader) -> None:
    """What is written into the inboxes. Raises SqlError."""
    loader.load_own(app.sql / DISPATCH, namespace)


def load_sinks(app: App, namespace: str, loader: Loader, *views: str) -> None:
    """What is written into tables of the app's own; `views` are the files of sql/tables that it may read from.

    Raises SqlError.
    """
    if (app.sql / SINKS).is_file():
        for name in views:
            loader.load(SHARED / name)
        loader.load_own(app.sql / SINKS, namespace)
