"""Gathers: several agents' answers to one event, put into one (ADR 6)."""

from __future__ import annotations

from collections.abc import Callable

from switchyard.core.event import Event
from switchyard.core.ids import stable_hash
from switchyard.core.ledger.record import Decision
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.dispatches import Dispatches
from switchyard.core.orchestrator.messages import Effect, Publish
from switchyard.core.orchestrator.open_work import OpenGather, PendingDecision
from switchyard.core.orchestrator.pending import PendingDecisions, again_ms
from switchyard.core.orchestrator.timers import Timer
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.registry import Registry
from switchyard.core.routing.consensus import AgentAnswer, GatherPolicy
from switchyard.core.routing.verdict import Verdict

ENVELOPE_BYTES = 256
"""What the capability adds to a result."""

MISSING = "missing"
INCOMPLETE = "gather-incomplete"
GONE = "gather-removed"
TOO_LARGE = "too-large"


def verdict_in_branch(registry: Registry, pending: PendingDecision, event: Event) -> Verdict | None:
    """What becomes of something in a branch of a gather; None where the branch goes on."""
    if pending.branch is None:
        return None
    member = pending.branch[1]
    if pending.failed:
        failure = pending.failed[-1]
        reason = f"{failure['agent']} failed: {failure['reason']}: {failure['message']}"
        return Verdict("gather", "guard", reason, code=MISSING)
    if pending.rule is not None or event.type in registry.gathers:
        return None
    return Verdict("gather", "guard", f"the answer in the branch of {member}")


class Gathers:
    """The gathers of a workflow, as one transition changes them; `emit` takes effects."""

    def __init__(
        self,
        context: ShardContext,
        workflow: Workflow,
        now: int,
        pending: PendingDecisions,
        dispatches: Dispatches,
        emit: Callable[[Effect], None],
    ) -> None:
        self._context = context
        self._workflow = workflow
        self._now = now
        self._pending = pending
        self._dispatches = dispatches
        self._emit = emit

    def take(self, record: Decision, event: Event, pending: PendingDecision) -> None:
        """An answer in a branch, or that there is none, has become effective."""
        gather_id, member = pending.branch or ["", ""]
        gather = self._open(gather_id)
        if gather is None:
            return
        if record.code == MISSING:
            gather.missing.setdefault(member, record.reason)
        else:
            gather.answers.setdefault(member, [event.type, event.data])

    def review(self, gather_id: str) -> None:
        """Close a gather that has what its policy asks for, or whose branches have all ended."""
        gather = self._open(gather_id)
        if gather is None:
            return
        for member in gather.expected:
            if member not in gather.answers and not self._alive(gather_id, member):
                gather.missing.setdefault(member, "its branch ended without an answer")
        accounted = set(gather.answers) | set(gather.missing)
        if self._is_met(gather) or accounted >= set(gather.expected):
            self._close(gather_id, gather, "the gather was complete before it answered")

    def overdue(self, gather_id: str) -> None:
        """The deadline of a gather has come: log that it closes with what it has."""
        if self._open(gather_id) is None or gather_id not in self._workflow.dispatches:
            return
        verdict = Verdict("gather", "guard", "the deadline of the gather has come", code="deadline")
        self._log(Subject.gather_deadline(gather_id), gather_id, verdict)

    def expire(self, gather_id: str) -> None:
        """The record of the deadline has become effective."""
        gather = self._workflow.gathers[gather_id]
        limit_s = self._policy(gather).gather.deadline
        self._close(gather_id, gather, f"no answer within {limit_s:g} s")

    def came_to_result(self, gather_id: str) -> None:
        """The ledger has its result, whatever today's policy says: its branches have ended."""
        if self._open(gather_id) is not None:
            self._give_up_branches(gather_id)
        self._pending.withdraw(Subject.gather_incomplete(gather_id))
        self._pending.withdraw(Subject.gather_deadline(gather_id))

    def publish(self, gather_id: str) -> None:
        """Write the result, now and again until it is read."""
        gather = self._workflow.gathers.get(gather_id)
        if gather is None or not gather.result:
            return
        if self._is_gone(gather_id, gather):
            return
        accepting = self._context.accepting
        if accepting:
            self._emit(Publish(Event.trusted(gather.result)))
        gather.published = gather.published or self._now
        due = self._now + again_ms(self._now - gather.published) if accepting else 0
        self._context.timers.set(Timer("publish", self._workflow.id, gather_id), due)

    def _close(self, gather_id: str, gather: OpenGather, unanswered: str) -> None:
        workflow, opened = self._workflow, self._workflow.dispatches[gather_id]
        for member in gather.expected:
            if member not in gather.answers:
                gather.missing.setdefault(member, unanswered)
        self._give_up_branches(gather_id)
        self._context.timers.clear(Timer("gather", workflow.id, gather_id))
        if self._is_gone(gather_id, gather):
            return
        policy = self._policy(gather)
        if policy.gather.on_missing == "fail" and not self._is_met(gather):
            absent = "; ".join(f"{agent}: {reason}" for agent, reason in gather.missing.items())
            self._give_up(gather_id, gather, INCOMPLETE, f"missing: {absent}")
            return
        result = Event.new(
            id=stable_hash("gathered", gather_id),
            source=f"switchyard/{self._context.registry.app}",
            type=policy.gather.result,
            workflow_id=workflow.id,
            data=policy.result(gather.expected, _answers(gather), gather.missing),
            causationid=gather_id,
            hops=opened.hop,
        )
        gather.result = result.json()
        size, largest = len(gather.result.encode()), self._context.registry.file.limits.event_bytes
        if size > largest - ENVELOPE_BYTES:
            reason = f"the answers make an event of {size} bytes; the limit is {largest}"
            self._give_up(gather_id, gather, TOO_LARGE, reason)
            return
        self.publish(gather_id)

    def _is_gone(self, gather_id: str, gather: OpenGather) -> bool:
        """Whether its type opens no gather any more; it is given up then."""
        if gather.on in self._context.registry.gathers:
            return False
        self._give_up(gather_id, gather, GONE, f"{gather.on} opens no gather any more")
        return True

    def _give_up(self, gather_id: str, gather: OpenGather, code: str, reason: str) -> None:
        """Log that there is no result: what opened the gather becomes a dead letter."""
        gather.result = ""
        verdict = Verdict("dead-letter", "guard", reason, code=code)
        self._log(Subject.gather_incomplete(gather_id), gather_id, verdict)

    def _log(self, subject: Subject, gather_id: str, verdict: Verdict) -> None:
        opened = self._workflow.dispatches[gather_id]
        self._pending.add(subject, opened.text, opened.position, opened.event, opened.hop - 1)
        self._pending.log(subject, verdict)

    def _give_up_branches(self, gather_id: str) -> None:
        """What is still under way in its branches, in gathers inside it too, will be late."""
        workflow = self._workflow
        inside = {gather_id}
        for name in workflow.gathers:  # an inner gather is opened after its outer one
            branch = workflow.dispatches[name].branch
            if branch is not None and branch[0] in inside:
                inside.add(name)
        for name, opened in list(workflow.dispatches.items()):
            if opened.branch is not None and opened.branch[0] in inside:
                self._dispatches.close(name, abandoned=True)
        for subject, pending in list(workflow.pending.items()):
            if pending.branch is not None and pending.branch[0] in inside:
                self._pending.give_up(subject)

    def _open(self, gather_id: str) -> OpenGather | None:
        """The gather, where it has not come to its result."""
        gather = self._workflow.gathers.get(gather_id)
        return gather if gather is not None and gather.result is None else None

    def _alive(self, gather_id: str, member: str) -> bool:
        branch, workflow = [gather_id, member], self._workflow
        opened = any(item.branch == branch for item in workflow.dispatches.values())
        return opened or any(item.branch == branch for item in workflow.pending.values())

    def _policy(self, gather: OpenGather) -> GatherPolicy:
        return GatherPolicy.of(self._context.registry, gather.on, gather.policy)

    def _is_met(self, gather: OpenGather) -> bool:
        return self._policy(gather).is_met(gather.expected, _answers(gather))


def _answers(gather: OpenGather) -> dict[str, AgentAnswer]:
    return {agent: AgentAnswer(type, data) for agent, (type, data) in gather.answers.items()}
