"""Savepoints and checkpoints as files: where they are, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from switchyard.core.errors import SwitchyardError
from switchyard.flink.rest import Flink

METADATA = "_metadata"
_OF_CHECKPOINT = re.compile(r"/([0-9a-f]{32})/chk-\d+/*$")
_OF_SAVEPOINT = re.compile(r"/savepoint-([0-9a-f]{6})-[0-9a-f]+/*$")


def local_path(location: str | None) -> str | None:
    """A path where Flink says `file:/...`; any other address as it is."""
    if location is None or not location.startswith("file:"):
        return location
    return "/" + location.removeprefix("file:").lstrip("/")


def state_at(given: str, elsewhere: bool) -> str:
    """A savepoint or checkpoint that a person named, as Flink takes it; `elsewhere`: Flink may see other files.

    Raises SwitchyardError where it should be a folder of this machine and is none.
    """
    if re.match(r"[a-z][a-z0-9+.-]*:/", given, re.I) and (elsewhere or not given.startswith("file:")):
        return given
    path = Path(str(local_path(given))).expanduser().absolute()
    folder = path.parent if path.name == METADATA else path
    if not (folder / METADATA).is_file():
        problem = "does not exist" if not path.exists() else f"holds no {METADATA}, so it is no savepoint or checkpoint"
        raise SwitchyardError(f"--from {given}: {folder} {problem}; nothing was stopped")
    return str(folder)


def names_in(state: str, connectors: Sequence[Path]) -> list[str] | None:
    """Ids of operators and names of topics in a savepoint or checkpoint, as Flink reads it.

    None where it is not on this machine. `connectors` are the jars of Flink's Kafka connector. Starts a JVM in this
    process, if there is none. Raises SwitchyardError where this is no state that Flink can read.
    """
    metadata = Path(state) / METADATA
    if not metadata.is_file():
        return None
    from switchyard.flink.savepoint_metadata import names

    return sorted(names(metadata, connectors))


def writers(state: str, flink: Flink) -> list[str]:
    """The jobs that Flink still knows and that may have written a savepoint or checkpoint, by its name."""
    match = _OF_CHECKPOINT.search(state) or _OF_SAVEPOINT.search(state)
    return [job_id for job_id in flink.states() if match and job_id.startswith(match[1])]
