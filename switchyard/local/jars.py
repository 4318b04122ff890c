"""The jars of the local broker and of Flink's Kafka connector, fetched once: `python -m switchyard.local.jars`.

In a checkout they stand in `deploy/jars`, for an installed package in the user's cache.
"""

from __future__ import annotations

import argparse
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
SUMS = DEPLOY / "jars.sha256"
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
    """Fetch what pom.xml pins, unless it is there. Raises StackError with Maven's reason, and for any other jar."""
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
        _check(target)
        (target / DONE).touch()
        report(f"They are there ({time.monotonic() - begun:.0f} s).")


def _there(target: Path) -> bool:
    done = target / DONE
    newest = max(POM.stat().st_mtime, SUMS.stat().st_mtime)
    return done.is_file() and (INSTALLED or done.stat().st_mtime >= newest)


def _check(target: Path) -> None:
    """Raises StackError where a jar is not the one whose SHA-256 stands in `SUMS`, or is missing there."""
    differing = set(sums(target).splitlines()) ^ set(SUMS.read_text(encoding="utf-8").splitlines())
    if differing:
        names = sorted({line.partition("  ")[2] for line in differing})
        raise StackError(
            f"What Maven fetched is not what {SUMS} pins: {', '.join(names)}. Look at what answers Maven in the "
            "repository's place; where pom.xml was changed, pin the new jars with `make lock`."
        )


def _pin(target: Path) -> None:
    """Raises StackError where no jars were fetched."""
    fetched = sums(target)
    if not fetched:
        raise StackError(f"No jars are in {target}; fetch them first: make setup.")
    SUMS.write_text(fetched, encoding="utf-8")


def sums(target: Path) -> str:
    """The SHA-256 of every jar, as `sha256sum` writes them."""
    files = sorted(path.relative_to(target).as_posix() for path in target.glob("*/*.jar"))
    return "".join(f"{hashlib.sha256((target / name).read_bytes()).hexdigest()}  {name}\n" for name in files)


def _maven(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError("Maven is needed and 'mvn' was not found. Install it (Debian: apt-get install maven).")
    command = [
        maven,
        "-q",
        "-B",
        "--strict-checksums",
        "-Dstyle.color=never",
        f"-Djars={target}",
        "-f",
        str(POM),
        "process-resources",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise StackError(
            f"Maven could not fetch the jars: {errors[0] if errors else done.stderr.strip() or 'no reason given'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the jars.")
    parser.add_argument("--pin", action="store_true", help="write the SHA-256 of those that were fetched last")
    pin = parser.parse_args().pin
    try:
        if pin:
            _pin(folder())
            return
        fetch(say)
    except SwitchyardError as error:
        complain(f"switchyard: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
