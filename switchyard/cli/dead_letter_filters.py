"""Which dead letters a command is about: numbers or identities, or what all of them have in common."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from switchyard.core.errors import SwitchyardError

if TYPE_CHECKING:
    from switchyard.cli.reading import NumberedDeadLetter

Which = Annotated[
    list[str] | None,
    typer.Argument(metavar="N", help="Numbers of the list; or TOPIC/PARTITION/OFFSET, their `identity` in `show`."),
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Only those with this reason.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only from then on: 2h, 30m or 1d ago, or an ISO time.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only those before then.")]

_AGO = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def chosen(letters: Sequence[NumberedDeadLetter], which: Sequence[str] | None) -> list[NumberedDeadLetter]:
    """Those that are named, each once, in the order they are named. Raises SwitchyardError for a name of none."""
    names = {str(item.number): item for item in letters} | {item.letter.identity: item for item in letters}
    named: dict[int, NumberedDeadLetter] = {}
    for name in which or ():
        item = names.get(name)
        if item is None:
            there = f"there {'is 1' if len(letters) == 1 else f'are {len(letters)}'}" if letters else "there is none"
            raise SwitchyardError(f"there is no dead letter {name}; {there}: switchyard dead-letters list --all")
        named[item.number] = item
    return list(named.values())


def matching(
    letters: Sequence[NumberedDeadLetter], reason: str | None, since: str | None, until: str | None
) -> list[NumberedDeadLetter]:
    """Those that meet every filter that is given. Raises SwitchyardError where a filter can match nothing."""
    begin, end = (None if text is None else moment(text) for text in (since, until))
    if begin is not None and end is not None and begin >= end:
        raise SwitchyardError(f"--since {since} is not before --until {until}")
    reasons = Counter(item.letter.reason for item in letters)
    if reason is not None and letters and reason not in reasons:
        there = ", ".join(f"{code} ({count})" for code, count in sorted(reasons.items()))
        raise SwitchyardError(f"no dead letter has the reason {reason!r}; there are {there}")
    return [
        item
        for item in letters
        if reason in (None, item.letter.reason)
        and (begin is None or item.letter.time >= begin)
        and (end is None or item.letter.time < end)
    ]


def moment(text: str) -> int:
    """Milliseconds since 1970 of `2h` (ago) or an ISO time, local where it names no zone. Raises SwitchyardError."""
    if ago := _AGO.fullmatch(text):
        return int((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1000)
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError):
        raise SwitchyardError(
            f"{text!r} is no time; write 30m, 2h or 1d, or an ISO time such as 2026-01-31T12:00"
        ) from None
