"""All tests, in two halves at once: those that share a local stack, and all others. `python -m tests.run_parallel`.

The output of the others follows when both are done. An interrupt reaches both, and each stops what it started.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

SHARED = "e2e and not own_stack"
OTHERS = "not e2e or own_stack"


def main() -> int:
    pytest = [sys.executable, "-m", "pytest", "--durations=10", "-m"]
    with tempfile.TemporaryFile() as log:
        others = subprocess.Popen([*pytest, OTHERS], stdout=log, stderr=log)
        shared = subprocess.Popen([*pytest, SHARED])
        codes = [_wait(shared), _wait(others)]
        log.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(log.read())
    return max(codes, key=abs)


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main())
