"""Becomes a program once nothing of its killed predecessor is left: `python -m deploy.stack.successor COMMAND`.

Flink's Python workers may outlive a TaskManager that was killed.
"""

from __future__ import annotations

import os
import sys

from deploy.stack import sweep


def main() -> None:
    stack_id, program = os.environ.get(sweep.MARK), os.environ.get(sweep.PROGRAM)
    if stack_id and program:
        sweep.kill(sweep.members(stack_id, program))
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606


if __name__ == "__main__":
    main()
