"""One input's work on one workflow of the orchestrator."""

from __future__ import annotations

from switchyard.core.control import Control
from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.context import ShardContext, dead, told
from switchyard.core.orchestrator.dispatches import backoff_ms
from switchyard.core.orchestrator.gathers import Gathers, verdict_in_branch
from switchyard.core.orchestrator.messages import IN_FLIGHT, Ask, ControlRead, Effect, EventRead, WriteDeadLetter
from switchyard.core.orchestrator.pending import PendingDecisions
from switchyard.core.orchestrator.workflow import PendingDecision, Tombstone, Workflow, status_event
from switchyard.core.routing import deciding
from switchyard.core.routing.deciding import ModelDecision, ModelUnavailable, RoutingContext, Verdict
from switchyard.core.routing.question import Question, question

UNSEEN_MS = 30_000
MOST_REFUSALS = 5
CANCEL, DEADLINE = "workflow/cancel", "workflow/deadline"


class WorkflowTransition(PendingDecisions):
    """One input's work on one workflow: changes it, collects effects, stores it."""

    def __init__(self, desk: ShardContext, workflow: Workflow, now: int) -> None:
        super().__init__(desk, workflow, now)
        self.gathers = Gathers(self)
        self._reserved = _reserved(workflow)

    def event(self, item: EventRead, subject: str) -> None:
        """Admit an event that was read, and decide about it."""
        workflow, event = self.workflow, item.event
        if subject in workflow.seen:
            self._duplicate()
            return
        dispatch = event.causation_id
        if dispatch is not None and not self._knows(dispatch):
            error = Rejected("unknown-dispatch", "no such dispatch is known", "causationid")
            self.effects.append(dead(error, item.text, item.position, self.now, workflow.id, event))
            return
        first = workflow.id not in self.desk.state.workflows
        workflow.seen.append(subject)
        workflow.inputs.append(event.id)
        if subject in workflow.settled:
            return
        waiting = workflow.waiting.get(subject)
        if waiting is None and dispatch is not None and self._is_late(dispatch):
            self._late(subject, item.text, item.position)
            return
        if waiting is None and not self._admit(subject, event, item.text, item.position):
            self._duplicate()
            return
        if waiting is not None and waiting.stage != "unseen":
            return
        workflow.waiting[subject].rule = None if item.rule is None else list(item.rule)
        self.due.clear("unseen", workflow.id, subject)
        self.decide(subject)
        if first:
            self._status()

    def control(self, item: ControlRead) -> None:
        """Log what an operator asks of this workflow. Raises Rejected where there is nothing it could be about."""
        control = item.control
        if control.kind == "cancel":
            if CANCEL not in self.workflow.waiting:
                self.wait(CANCEL, item.text, item.position)
                self.log(CANCEL, Verdict("cancel", "operator", _said(f"cancelled by {control.by}", control)))
            return
        opened = self.workflow.open.get(control.approval)
        subject = f"approval/{control.approval}"
        if opened is None or opened.stage != "approval" or subject in self.workflow.waiting:
            raise Rejected("unknown-approval", "nothing waits for this approval", "data.approval")
        if control.kind == "approve":
            reason = _said(f"approved by {control.by}", control)
            verdict = Verdict("dispatch", "operator", reason, (opened.agent,))
        else:
            reason = _said(f"{opened.agent} was not approved by {control.by}", control)
            verdict = Verdict("stop", "operator", reason, code="rejected")
        self._settle_open(subject, opened)
        self.log(subject, verdict)

    def overdue(self, identity: str) -> None:
        """A dispatch has had no answer by its deadline."""
        opened = self.workflow.open.get(identity)
        if opened is None or opened.stage != "sent":
            return
        agent = self.registry.agents.get(opened.agent)
        message = f"no answer within {agent.deadline:g} s" if agent else "it is no agent of the app any more"
        waiting = self._settle_open(f"timeout/{identity}", opened)
        self._failed(waiting, opened, {"agent": opened.agent, "reason": "no-answer", "message": message})
        self.decide(f"timeout/{identity}")

    def not_approved(self, identity: str) -> None:
        """Nobody has approved a dispatch in time."""
        opened = self.workflow.open.get(identity)
        subject = f"approval/{identity}"
        if opened is None or opened.stage != "approval" or subject in self.workflow.waiting:
            return
        self._settle_open(subject, opened)
        reason = f"{opened.agent} was not approved in time"
        self.log(subject, deciding.stop("approval-timeout", reason))

    def out_of_time(self) -> None:
        """The workflow has reached its wall-clock deadline."""
        about = status_event(self.registry.app, self.workflow.summary(self.registry.app))
        self.wait(DEADLINE, about.json(), Position("", -1, -1))
        limit = self.registry.file.limits.deadline
        self.log(DEADLINE, deciding.stop("deadline", f"deadline of {limit:g} s reached"))

    def decide(self, subject: str) -> None:
        """Log the verdict of a rule or guard, try again what failed, or ask a model."""
        waiting = self.workflow.waiting[subject]
        event = Event.parse(waiting.event)
        verdict = self._again(waiting)
        if verdict is None:
            verdict = verdict_in_branch(self.registry, waiting, event)
        if verdict is None:
            verdict = deciding.without_model(self.registry, event, self._situation(subject, event))
        if verdict is None and self.desk.hourly:
            verdict = self._reserve(waiting)
        if verdict is None:
            self.ask(subject)
        else:
            self.log(subject, verdict)

    def ask(self, subject: str) -> None:
        """Ask now, or when the shard is open. Its deadline stands for the ask until it is answered."""
        waiting = self.workflow.waiting[subject]
        waiting.stage = "asked"
        if self.desk.open:
            self.effects.append(Ask(self.workflow.id, subject, waiting.attempt))
        self.due.set("ask", self.workflow.id, subject, IN_FLIGHT if self.desk.open else 0)

    def question(self, waiting: PendingDecision) -> Question:
        """What to ask a model about something that waits."""
        return question(self.registry, Event.parse(waiting.event), waiting.failures, self.workflow.history)

    def answer(self, subject: str, outcome: ModelDecision | ModelUnavailable) -> None:
        """Log what a model's answer stands for."""
        waiting = self.workflow.waiting[subject]
        event = Event.parse(waiting.event)
        verdict = deciding.by_outcome(self.registry, event, waiting.failed_agents, outcome)
        self.log(subject, deciding.guarded(self.registry, event, self._situation(subject, event), verdict), outcome)

    def read_back(self, record: Decision) -> None:
        """A record has come back: act on it, or refuse it and decide anew."""
        workflow, subject = self.workflow, record.subject
        try:
            event = record.parsed_event()
        except Rejected as error:
            self.effects.append(WriteDeadLetter(DeadLetter.of(error, record.event.encode(), record.position, self.now)))
            return
        if record.action == "late" or self._counts_no_more(record):
            self._settled(subject)
            return
        known = subject in workflow.waiting
        if not known:
            self._admit_record(record, event)
        waiting = workflow.waiting[subject]
        dispatch_error = self._objection(record, event)
        if dispatch_error is None:
            self._act(record, event, waiting)
            return
        waiting.attempt = workflow.refused[subject] = record.attempt + 1
        waiting.record = None
        self.due.clear("log", workflow.id, subject)
        if known:
            self.decide(subject)
        else:
            waiting.stage = "unseen"
            self.due.set("unseen", workflow.id, subject, self.now + UNSEEN_MS)

    def finish(self) -> list[Effect]:
        """Store the workflow, or its tombstone where it has come to its end.

        Before the fence a workflow only seems idle: what it waits for may be a record or an event still to be read.
        """
        workflow, state, tally = self.workflow, self.desk.state, self.desk.tally
        if workflow.status == "running" and workflow.idle and workflow.settled:
            if self.desk.fenced:
                workflow.status = "failed" if workflow.failed else "completed"
            else:
                self.due.set("idle", workflow.id, "", 0)
        existed, running = workflow.id in state.workflows, workflow.status == "running"
        self.dispatches.count(running)
        tally.reserved += (_reserved(workflow) if running else 0) - self._reserved
        if running:
            if workflow.seen or workflow.settled or workflow.waiting:
                state.workflows[workflow.id] = workflow.dump()
                if not existed:
                    tally.workflows += 1
                    deadline_ms = int(self.registry.file.limits.deadline * 1000)
                    self.due.set("deadline", workflow.id, "", workflow.started_at + deadline_ms)
            return self.effects
        # The record's time and not this one's, so that an end that is told again after a crash is the same event.
        workflow.ended_at = workflow.last_at or self.now
        self.due.clear_workflow(workflow.id)
        ended = Tombstone.of(workflow, self.registry.app)
        state.ended[workflow.id] = ended.dump()
        if existed:
            del state.workflows[workflow.id]
            tally.workflows -= 1
        self.effects.append(told(self.registry.app, ended.summary))
        return self.effects

    def _act(self, record: Decision, event: Event, waiting: PendingDecision) -> None:
        workflow = self.workflow
        kind, _, rest = record.subject.partition("/")
        self._settled(record.subject)
        workflow.account(record, event.type)
        self.desk.tally.spend(record.at, record.prompt_tokens + record.completion_tokens, record.cost or 0.0)
        if record.action == "dispatch" and kind == "approval" and record.decided_by == "operator":
            self.effects += self.dispatches.approve(rest)
            self._status()
            return
        if kind in ("timeout", "approval"):
            self._withdraw_answers(rest)
            self.dispatches.close(rest, abandoned=True)
        if record.action == "dispatch":
            self.effects += self.dispatches.begin(record, event, waiting)
            self._status()
        elif record.action in ("stop", "cancel"):
            workflow.status = "stopped" if record.action == "stop" else "cancelled"
            workflow.reason, workflow.code = record.reason, record.code
        elif record.action == "dead-letter":
            workflow.lose(record)
            if kind == "gather":
                waiting.branch = workflow.open[rest.partition("/")[0]].branch
                self.dispatches.close(rest.partition("/")[0], abandoned=True)
            error = Rejected(record.code or "no-usable-decision", record.reason)
            self.effects.append(dead(error, record.event, record.position, self.now, workflow.id, event))
        elif record.action == "gather" and kind == "gather":
            self.gathers.expire(rest)
        elif record.action == "gather":
            self.gathers.take(record, event, waiting)
        elif workflow.idle:
            workflow.reason = record.reason
        if waiting.branch is not None:
            self.gathers.review(waiting.branch[0])

    def _objection(self, record: Decision, event: Event) -> str | None:
        """Why a record must not be acted on; None where it may.

        Only what follows from the ledger's order is looked at, so that a record once acted on is so at every replay.
        """
        dispatch_error = deciding.dispatch_error(self.registry, event, record.action, record.agents)
        if dispatch_error is not None or record.action != "dispatch":
            return dispatch_error
        if record.decided_by == "operator":
            opened = self.workflow.open.get(record.subject.partition("/")[2])
            waits = opened is not None and opened.stage == "approval" and record.agents == (opened.agent,)
            return None if waits else "nothing waits for this approval"
        if record.decided_by == "retry":
            return None
        redo = deciding.is_manual_retry(event, record.subject)
        given = 0 if redo else self.workflow.given
        ancestors = self.workflow.waiting[record.subject].ancestors
        known = RoutingContext(failed=record.failed, ancestors=ancestors, given=given)
        verdict = deciding.guarded(self.registry, event, known, Verdict("dispatch", "guard", "", record.agents))
        if verdict.action != "dispatch":
            return verdict.reason
        return deciding.out_of_order(self.registry, record.agents, self.workflow.place, redo=redo)

    def _counts_no_more(self, record: Decision) -> bool:
        """Whether the ledger's order has made this record late: see ADR 5."""
        kind, _, rest = record.subject.partition("/")
        if kind == "dispatch":
            return rest.partition("/")[0] in self.workflow.abandoned
        if kind == "timeout":
            answered = any(name.startswith(f"dispatch/{rest}/") for name in self.workflow.settled)
            return answered or rest in self.workflow.abandoned
        if kind == "gather":
            gathering = self.workflow.gathers.get(rest.partition("/")[0])
            return gathering is None or (record.action == "gather" and gathering.result is not None)
        return kind == "approval" and rest not in self.workflow.open

    def _again(self, waiting: PendingDecision) -> Verdict | None:
        """Another attempt by the agent that failed, where it has one left; else the agent is left out."""
        if waiting.attempt > MOST_REFUSALS:
            reason = f"{waiting.attempt} decisions were refused when they were read back"
            return Verdict("dead-letter", "guard", reason, code="no-usable-decision")
        failure = waiting.failure
        if failure is None:
            return None
        agent = self.registry.agents.get(failure["agent"])
        if agent is None or waiting.tries >= agent.attempts:
            waiting.failed, waiting.failure = waiting.failures, None
            return None
        reason = f"attempt {waiting.tries + 1} of {agent.attempts}: {failure['reason']}: {failure['message']}"
        return Verdict("dispatch", "retry", reason, (agent.name,), delay_ms=backoff_ms(agent, waiting.tries))

    def _reserve(self, waiting: PendingDecision) -> Verdict | None:
        """Set tokens of this hour aside for an ask; the verdict where there are too few left."""
        tokens = self.question(waiting).most_tokens
        over = self.desk.over_hour(self.now, tokens)
        if over is not None:
            return deciding.stop("hour-limit", over)
        waiting.reserved = tokens
        return None

    def _situation(self, subject: str, event: Event) -> RoutingContext:
        workflow, waiting = self.workflow, self.workflow.waiting[subject]
        redo = deciding.is_manual_retry(event, subject)
        return RoutingContext(
            waiting.hop,
            waiting.rule,
            waiting.failed_agents,
            workflow.tokens,
            workflow.cost,
            workflow.place,
            waiting.ancestors,
            0 if redo else workflow.given,
            redo,
        )

    def _duplicate(self) -> None:
        self.workflow.duplicates += 1
        self._status()

    def _status(self) -> None:
        self.effects.append(told(self.registry.app, self.workflow.summary(self.registry.app)))


def _said(what: str, control: Control) -> str:
    return f"{what}: {control.reason}" if control.reason else what


def _reserved(workflow: Workflow) -> int:
    return sum(item.reserved for item in workflow.waiting.values())
