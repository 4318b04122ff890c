"""What came of a case, and how it differs from what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from switchyard.core.deadletter import DeadLetter
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.effective import FirstRecords
from switchyard.core.ledger.record import Decision
from switchyard.testing.cases import Case, ExpectedDeadLetter, ExpectedDecision


@dataclass
class Outcome:
    """What the job did about one case.

    `dispatched` holds agents by effect key; `problems` are the case's own faults.
    """

    case: Case
    records: list[Decision] = field(default_factory=list)
    dispatched: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def decisions(self) -> list[Decision]:
        """The effective records in order: the first for each (subject, attempt)."""
        return FirstRecords(self.records).records

    @property
    def dispatches(self) -> list[str]:
        """The agents that were given an event, once for each event: a further attempt at it is none of its own."""
        return list(self.dispatched.values())

    @property
    def status(self) -> str:
        return str(self.summary.get("status", "none"))

    def differences(self) -> list[str]:
        """A sentence for each thing that is not as expected, each beginning with file and line."""
        return self.problems + [f"{self.case.place('expect', *path)} {text}" for path, text in self._compare()]

    def _compare(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        expected, name = self.case.content.expect, self.case.name
        if expected.decisions is not None:
            yield from self._compare_decisions("decisions", expected.decisions)
        if expected.decisions_include is not None:
            yield from self._compare_decisions("decisions_include", expected.decisions_include)
        if expected.dispatches is not None and sorted(expected.dispatches) != sorted(self.dispatches):
            yield (
                ("dispatches",),
                f"{name}: expected dispatches {_list(expected.dispatches)}, found {_list(self.dispatches)}",
            )
        yield from self._compare_dead_letters(expected.dead_letters)
        if expected.status is not None and expected.status != self.status:
            reason = f" ({self.summary['reason']})" if self.summary.get("reason") else ""
            yield ("status",), f"{name}: expected status {expected.status}, found {self.status}{reason}"
        for key in ("duplicates", "model_calls"):
            wanted, actual = getattr(expected, key), self.summary.get(key, 0)
            if wanted is not None and wanted != actual:
                yield (key,), f"{name}: expected {key} {wanted}, found {actual}"

    def _compare_decisions(
        self, key: Literal["decisions", "decisions_include"], expected: Sequence[ExpectedDecision]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Events that are there together are decided in any order, so each is compared with the next of its type.

        Of `decisions_include`, the next one that is as expected is taken, where there is one.
        """
        left = self.decisions
        for index, wanted in enumerate(expected):
            where = f"{self.case.name}: decision {index + 1}"
            of_type = [item for item in left if wanted.event in (None, item.parsed_event().type)]
            if key == "decisions_include":
                of_type = [item for item in of_type if not _differing(item, wanted)] or of_type
            if not of_type:
                yield (key, index), f"{where}: expected {_wanted(wanted)}, found none"
                continue
            record = of_type[0]
            left.remove(record)
            for name, (value, actual) in _differing(record, wanted).items():
                text = f"{where}: expected {name} {_list(value)}, found {_list(actual)} {_because(record)}"
                yield (key, index, name), text
        if key == "decisions":
            for record in left:
                text = f"{self.case.name}: one decision more than the {len(expected)} under `decisions`: "
                yield (key,), f"{text}{_shown(record)}; to list only some, write `decisions_include`"

    def _compare_dead_letters(
        self, expected: Sequence[ExpectedDeadLetter]
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        left = list(self.dead_letters)
        for index, wanted in enumerate(expected):
            match = next((letter for letter in left if _meets(letter, wanted)), None)
            if match is not None:
                left.remove(match)
                continue
            others = "; ".join(_letter(letter) for letter in self.dead_letters) or "none"
            text = f"expected dead letter {_wanted(wanted)}, found {others}"
            yield ("dead_letters", index), f"{self.case.name}: {text}"
        for letter in left:
            yield ("dead_letters",), f"{self.case.name}: unexpected dead letter {_letter(letter)}"


def _differing(record: Decision, wanted: ExpectedDecision) -> dict[str, tuple[Any, Any]]:
    """The fields that are not as wanted: what was, and what is."""
    actual = _fields(record)
    return {
        name: (value, actual[name])
        for name, value in wanted.model_dump(exclude_none=True).items()
        if actual[name] != value
    }


def _fields(record: Decision) -> dict[str, Any]:
    return {
        "event": record.parsed_event().type,
        "action": record.action,
        "agents": list(record.agents),
        "by": record.decided_by,
        "reason": record.reason,
        "code": record.code,
        "failed": list(record.failed),
    }


def _meets(letter: DeadLetter, wanted: ExpectedDeadLetter) -> bool:
    return (
        letter.reason == wanted.reason
        and wanted.field in (None, letter.field)
        and wanted.topic in (None, letter.topic.partition(".")[2])
        and wanted.event in (None, _type(letter))
    )


def _type(letter: DeadLetter) -> str | None:
    try:
        return Event.parse(letter.raw).type
    except Rejected:
        return None


def _because(record: Decision) -> str:
    return f"(by {record.decided_by}: {record.reason})"


def _shown(record: Decision) -> str:
    what = _list(list(record.agents)) if record.action == "dispatch" else record.action
    return f"{record.parsed_event().type} → {what} {_because(record)}"


def _letter(letter: DeadLetter) -> str:
    place = f" at {letter.field}" if letter.field else ""
    return f"{letter.reason}{place} from {letter.topic.partition('.')[2]} ({letter.message})"


def _wanted(item: ExpectedDecision | ExpectedDeadLetter) -> str:
    return ", ".join(f"{key} {_list(value)}" for key, value in item.model_dump(exclude_none=True).items())


def _list(value: Any) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
