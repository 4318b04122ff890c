"""How long things are kept, wherever they are; docs/operations.md has the table."""

from __future__ import annotations

DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
DEAD_LETTERS_MS = 4 * WEEK_MS
DONE_S = (DEAD_LETTERS_MS + WEEK_MS) / 1000
"""What was done: a dead letter may be retried in its last hour, and must not do again what was done."""
