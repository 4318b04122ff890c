"""Sorts what a job wrote by the case it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from switchyard.core.deadletter import DeadLetter, parse_entry
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.testing.agents import CaseAgents
from switchyard.testing.cases import Case, CaseError
from switchyard.testing.minicluster import Output
from switchyard.testing.outcome import Outcome
from switchyard.testing.script import ModelScript


@dataclass(frozen=True)
class OutgoingRecord:
    """A record for agent-messages: what the app's SQL made, or an agent's answer. No outcome: it is no case's."""

    outcome: Outcome | None
    event: Event | None
    raw: bytes
    key: bytes | None


class Collected:
    """The outcomes so far. `unmatched` belongs to no case; events of the types `results` are read back already."""

    def __init__(
        self, cases: Sequence[Case], script: ModelScript, agents: CaseAgents, results: Collection[str] = ()
    ) -> None:
        self.outcomes = {case.content.workflow: Outcome(case) for case in cases}
        self.unmatched: list[str] = []
        self.onward: list[OutgoingRecord] = []
        self.dispatched: dict[str, Event] = {}
        self._script = script
        self._agents = agents
        self._results = results
        self._origins: dict[tuple[str, int], Outcome] = {}

    def came_from(self, topic: str, offset: int, outcome: Outcome) -> None:
        """Remember whose record this is, for a dead letter that names no workflow."""
        self._origins[(topic, offset)] = outcome

    def take(self, output: Output) -> Outcome | None:
        """Note one record; the outcome it belongs to. What it leads to is added to `onward`."""
        match output.topic:
            case "agent-messages":
                return self._message(output)
            case "routing-decisions":
                return self._record(output)
            case "agent-inboxes":
                return self._dispatch(output)
            case "workflow-status":
                event = Event.parse(output.value)
                outcome = self.outcomes.get(event.workflow_id)
                if outcome is not None:
                    outcome.summary = dict(event.data)
                return outcome
            case "dead-letters":
                letter = parse_entry(output.value)
                return self._dead_letter(letter) if isinstance(letter, DeadLetter) else None
            case _:
                return None

    def _message(self, output: Output) -> Outcome | None:
        event = parsed(output.value)
        outcome = self._of_workflow(event.workflow_id) if event else None
        if event is None or event.type not in self._results:
            self.onward.append(OutgoingRecord(outcome, event, output.value, output.key))
        return outcome

    def _record(self, output: Output) -> Outcome | None:
        record = parse_record(output.value)
        if not isinstance(record, Decision):
            return None
        self._script.release(record.parsed_event())
        outcome = self._of_workflow(record.workflow_id)
        if outcome is not None:
            outcome.records.append(record)
        return outcome

    def _dispatch(self, output: Output) -> Outcome | None:
        event = Event.parse(output.value)
        agent = output.agent
        outcome = self._of_workflow(event.workflow_id)
        if outcome is None:
            return None
        outcome.dispatched.setdefault(str(event.attributes["effectkey"]), agent)
        self.dispatched[str(event.attributes["dispatchid"])] = event
        try:
            answers = self._agents.answer(outcome.case, agent, output.value)
        except CaseError as error:
            outcome.problems.append(str(error))
            return outcome
        key = event.workflow_id.encode()
        self.onward += [OutgoingRecord(outcome, answer, answer.json().encode(), key) for answer in answers]
        return outcome

    def _dead_letter(self, letter: DeadLetter) -> Outcome | None:
        outcome = self._origins.get((letter.topic, letter.offset)) or self.outcomes.get(letter.workflow_id or "")
        if outcome is None:
            self.unmatched.append(f"a dead letter of no case: {letter.reason} from {letter.topic} ({letter.message})")
        else:
            outcome.dead_letters.append(letter)
        return outcome

    def _of_workflow(self, workflow: str) -> Outcome | None:
        outcome = self.outcomes.get(workflow)
        text = f"workflow {workflow} is named by no case; set `workflow:` of the case that starts it"
        if outcome is None and text not in self.unmatched:
            self.unmatched.append(text)
        return outcome


def parsed(raw: bytes) -> Event | None:
    """The event; None where this is none."""
    try:
        return Event.parse(raw)
    except Rejected:
        return None
