"""Savepoints and checkpoints as files: where they are, and what stands in them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from switchyard.core import strictjson
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


def state_at(location: str, elsewhere: bool) -> str:
    """A savepoint or checkpoint that a person named, as Flink takes it; `elsewhere`: Flink may see other files.

    Raises SwitchyardError where it should be a folder of this machine and is none.
    """
    if re.match(r"[a-z][a-z0-9+.-]*:/", location, re.I) and (elsewhere or not location.startswith("file:")):
        return location
    path = Path(str(local_path(location))).expanduser().absolute()
    folder = path.parent if path.name == METADATA else path
    if not (folder / METADATA).is_file():
        problem = "does not exist" if not path.exists() else f"holds no {METADATA}, so it is no savepoint or checkpoint"
        raise SwitchyardError(f"--from {location}: {folder} {problem}; nothing was stopped")
    return str(folder)


def names_in(state: str, connectors: Sequence[Path]) -> list[str] | None:
    """Ids of operators and names of topics in a savepoint or checkpoint, as Flink reads it in a process of its own.

    None where it is not on this machine. `connectors` are the jars of Flink's Kafka connector. Raises SwitchyardError
    where this is no state that Flink can read.
    """
    metadata = Path(state) / METADATA
    if not metadata.is_file():
        return None
    command = [sys.executable, "-m", "switchyard.flink.savepoint_metadata", str(metadata), *map(str, connectors)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    lines = (done.stdout if done.returncode == 0 else done.stderr).splitlines() or ["it printed nothing"]
    if done.returncode != 0:
        raise SwitchyardError(f"{metadata} cannot be read: {lines[-1]}")
    names: list[str] = strictjson.loads(lines[-1])
    return names


def writers(state: str, flink: Flink) -> list[str]:
    """The jobs that Flink still knows and that may have written a savepoint or checkpoint, by its name."""
    match = _OF_CHECKPOINT.search(state) or _OF_SAVEPOINT.search(state)
    return [job_id for job_id in flink.states() if match and job_id.startswith(match[1])]
