"""All tests, in two halves at once: those that share a local stack, and all others. `python -m tests.run_parallel`.

The output of the others follows when both are done, then how much of the code both together ran, branches included;
below the floor that pyproject.toml sets this fails. An interrupt reaches both, and each stops what it started.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = "e2e and not own_stack"
OTHERS = "not e2e or own_stack"


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "log").open("w+b") as log:
            others = _start(OTHERS, folder / ".coverage.others", log.fileno())
            shared = _start(SHARED, folder / ".coverage.shared", None)
            codes = [_wait(shared), _wait(others)]
            log.seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(log.read())
            sys.stdout.flush()
        return max(codes, key=abs) or _coverage(folder)


def _start(marked: str, data: Path, output: int | None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "--durations=10", "-m", marked]
    return subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "COVERAGE_FILE": str(data)})


def _coverage(folder: Path) -> int:
    """Print how much was run; not 0 where that is below the floor."""
    env = {**os.environ, "COVERAGE_FILE": str(folder / ".coverage")}
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet", str(folder)], env=env, check=True)
    return subprocess.run([*coverage, "report", "--skip-covered", "--sort=cover"], env=env, check=False).returncode


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
