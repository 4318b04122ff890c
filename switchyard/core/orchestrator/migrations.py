"""State of the release before: read, and brought to today's form.

A release that changes a form raises `STATE_VERSION` and adds a migration for each kind of value that changes, from the
version before to its own. It reads that one version and its own; what is older was written by a release whose successor
must run in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from switchyard.core.errors import StateVersionError
from switchyard.core.orchestrator import state

Kind = Literal["workflow", "tombstone", "queue entry", "usage"]
Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: dict[tuple[Kind, int], Migration] = {}
"""By kind and the version that is read, to the next one. A kind without one keeps its form."""

OLDEST = 3
"""The oldest version that this release reads; 2 and before held bytes, which Flink cannot hand over as text."""


def readable(version: int) -> bool:
    """Whether this release goes on from state of a version."""
    return max(OLDEST, state.STATE_VERSION - 1) <= version <= state.STATE_VERSION


def stamped(value: dict[str, Any]) -> dict[str, Any]:
    """The value as it is stored: with the version of its form."""
    return {**value, "version": state.STATE_VERSION}


def upgraded(kind: Kind, value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a stored value in today's form, without their version. Raises StateVersionError."""
    version = value.pop("version", 0)
    if not readable(version):
        raise StateVersionError(kind, version, state.STATE_VERSION)
    for step in range(version, state.STATE_VERSION):
        migration = MIGRATIONS.get((kind, step))
        value = value if migration is None else migration(value)
    return value
