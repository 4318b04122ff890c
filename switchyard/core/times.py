"""Moments as RFC 3339 writes them: in UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Return a time since 1970 as RFC 3339 writes it."""
    return _text(datetime.fromtimestamp(seconds, UTC))


def rfc3339_now() -> str:
    """Return this moment as RFC 3339 writes it."""
    return _text(datetime.now(UTC))


def milliseconds(text: object) -> int:
    """A moment as RFC 3339 writes it, as milliseconds since 1970. Raises ValueError where it is none."""
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except OverflowError:
        raise ValueError("the time is before the year 1 or after 9999") from None


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
