"""Becomes a program once nothing of its killed predecessor is left: `python -m switchyard.local.exec_clean COMMAND`.

Flink's Python workers may outlive a TaskManager that was killed.
"""

from __future__ import annotations

import os
import sys

from switchyard.local import process_cleanup


def main() -> None:
    stack_id, program = os.environ.get(process_cleanup.MARK), os.environ.get(process_cleanup.PROGRAM)
    if stack_id and program:
        process_cleanup.kill(process_cleanup.members(stack_id, program))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
