"""Moments as RFC 3339 writes them: in UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Return a time since 1970 as RFC 3339 writes it."""
    return _text(datetime.fromtimestamp(seconds, UTC))


def rfc3339_now() -> str:
    """Return this moment as RFC 3339 writes it."""
    return _text(datetime.now(UTC))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
