"""The jars of the local broker and of Flink's Kafka connector, fetched once: `python -m switchyard.local.jars`.

In a checkout they stand in `deploy/jars`, for an installed package in the user's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from switchyard.core.bundled import DEPLOY, INSTALLED
from switchyard.core.errors import SwitchyardError
from switchyard.core.report import Report
from switchyard.local.errors import StackError
from switchyard.terminal import complain, say

POM = DEPLOY / "pom.xml"
DONE = ".fetched"


def folder() -> Path:
    """Where the jars stand, or will: another pom.xml has another folder in the cache."""
    if not INSTALLED:
        return DEPLOY / "jars"
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "switchyard" / f"jars-{digest}"


def jars(name: str) -> list[Path]:
    """The jars of `kafka` or `flink`, fetched where they are not there yet. Raises StackError."""
    fetch(complain)
    return sorted((folder() / name).glob("*.jar"))


def fetch(report: Report) -> None:
    """Fetch what pom.xml pins, unless it is there. Raises StackError with Maven's reason."""
    target = folder()
    if _there(target):
        return
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _there(target):
            return
        report(f"Fetching the Kafka connector and the local broker with Maven into {target} (50 MB, once) ...")
        begun = time.monotonic()
        for name in ("kafka", "flink"):
            shutil.rmtree(target / name, ignore_errors=True)
        _maven(target)
        (target / DONE).touch()
        report(f"They are there ({time.monotonic() - begun:.0f} s).")


def _there(target: Path) -> bool:
    done = target / DONE
    return done.is_file() and (INSTALLED or done.stat().st_mtime >= POM.stat().st_mtime)


def _maven(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError("Maven is needed and 'mvn' was not found. Install it (Debian: apt-get install maven).")
    command = [maven, "-q", "-B", "-Dstyle.color=never", f"-Djars={target}", "-f", str(POM), "process-resources"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise StackError(
            f"Maven could not fetch the jars: {errors[0] if errors else done.stderr.strip() or 'no reason given'}"
        )


def main() -> None:
    try:
        fetch(say)
    except SwitchyardError as error:
        complain(f"switchyard: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
