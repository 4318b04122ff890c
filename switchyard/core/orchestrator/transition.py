"""One input's work on one workflow of the orchestrator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from switchyard.core.deadletter import DeadLetter, Position
from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision, parse_record
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.answers import check_answer, open_attempt
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.dispatches import Dispatches, backoff_ms
from switchyard.core.orchestrator.gathers import Gathers, verdict_in_branch
from switchyard.core.orchestrator.messages import (
    Ask,
    Effect,
    EventRead,
    Log,
    WriteDeadLetter,
    dead_letter_effect,
)
from switchyard.core.orchestrator.open_work import PendingDecision
from switchyard.core.orchestrator.pending import BEHIND_MS, GIVEN_UP, PendingDecisions, again_ms
from switchyard.core.orchestrator.readback import counts_no_more, read_back_error
from switchyard.core.orchestrator.records import usage_of
from switchyard.core.orchestrator.timers import IN_FLIGHT, Timer
from switchyard.core.orchestrator.workflow import Tombstone, Workflow, status_event
from switchyard.core.routing import decide
from switchyard.core.routing.question import Question, question
from switchyard.core.routing.verdict import (
    ModelDecision,
    ModelUnavailable,
    RoutingContext,
    Verdict,
    model_usage,
    tokens_and_cost,
)

UNREAD_MS = 600_000
MOST_REFUSALS = 5
MOST_ASKS = 10
ASK_AGAIN_MS, ASK_AGAIN_MAX_MS = 2_000, 60_000
RETRY_AFTER_MAX_MS = 300_000


class WorkflowTransition:
    """One input's work on one workflow: changes it, collects effects, stores it."""

    def __init__(self, context: ShardContext, workflow: Workflow, now: int) -> None:
        self.context = context
        self.registry = context.registry
        self.timers = context.timers
        self.workflow = workflow
        self.now = now
        self.effects: list[Effect] = []
        emit = self.effects.append
        self.dispatches = Dispatches(context, workflow, now)
        self.pending = PendingDecisions(context, workflow, now, self.dispatches, emit)
        self.gathers = Gathers(context, workflow, now, self.pending, self.dispatches, emit)
        self._reserved = workflow.reserved

    def event(self, item: EventRead, subject: Subject) -> None:
        """Admit an event that was read, and decide about it."""
        workflow, event = self.workflow, item.event
        cause = event.causation_id
        try:
            if workflow.known.repeats(event, subject):
                self._duplicate()
                return
            if cause is not None:
                check_answer(self.context, workflow, event, cause, self.now)
        except Rejected as error:
            self.effects.append(dead_letter_effect(error, item.text, item.position, self.now, workflow.id, event))
            return
        first = workflow.id not in self.context.workflows
        workflow.known.read(event, subject)
        if workflow.known.is_settled(subject) or workflow.is_of_earlier_life(event):
            return
        workflow.note(event)
        pending = workflow.pending.get(subject)
        if pending is None and cause is not None and self.pending.is_late(cause):
            attempt = open_attempt(workflow, event)
            if attempt is not None:
                again = event.with_attributes(causationid=attempt)
                self.event(replace(item, event=again, text=again.json()), Subject.of_event(again))
                return
            workflow.spend(*self.context.spend(event, self.now))
            self.pending.log_late(subject, item.text, item.position, event, GIVEN_UP)
            return
        if pending is None and not self.pending.admit_event(subject, item):
            self._duplicate()
            return
        if pending is not None and pending.stage != "unread":
            return
        workflow.pending[subject].rule = None if item.rule is None else list(item.rule)
        self.timers.clear(Timer.of("event", workflow.id, subject))
        self.decide(subject)
        if first:
            self._tell_status()

    def answer_overdue(self, dispatch_id: str) -> None:
        """A dispatch has had no answer by its deadline, nor has its agent answered any other for as long."""
        opened = self.workflow.dispatches.get(dispatch_id)
        if opened is None or opened.stage != "sent":
            return
        agent = self.registry.agents.get(opened.agent)
        if agent is not None:
            due = self.context.silent_since(opened.agent) + int(agent.deadline * 1000)
            if due > self.now:  # it answers others: an inbox is worked through in its order, and this one waits there
                self.timers.set(Timer("answer", self.workflow.id, dispatch_id), due)
                return
        message = f"no answer within {agent.deadline:g} s" if agent else "it is no agent of the app any more"
        subject = Subject.timeout(dispatch_id)
        pending = self.pending.settle_dispatch(subject, opened)
        self.pending.failed(pending, opened, {"agent": opened.agent, "reason": "no-answer", "message": message})
        self.decide(subject)

    def approval_overdue(self, dispatch_id: str) -> None:
        """Nobody has approved a dispatch in time."""
        opened = self.workflow.dispatches.get(dispatch_id)
        subject = Subject.approval(dispatch_id)
        if opened is None or opened.stage != "approval" or subject in self.workflow.pending:
            return
        self.pending.settle_dispatch(subject, opened)
        self.pending.log(subject, decide.stop("approval-timeout", f"{opened.agent} was not approved in time"))

    def out_of_time(self) -> None:
        """The workflow has reached its wall-clock deadline."""
        limit_s = self.registry.file.limits.deadline
        self._stop(self.workflow.deadline, decide.stop("deadline", f"deadline of {limit_s:g} s reached"))

    def _too_large(self) -> None:
        if self.workflow.size not in self.workflow.pending:
            limit = self.registry.file.limits.workflow_bytes
            self._stop(self.workflow.size, decide.stop("size-limit", f"limit of {limit} bytes reached"))
            self.context.workflows.save(self.workflow)

    def _stop(self, subject: Subject, verdict: Verdict) -> None:
        """Log that the workflow as a whole is stopped."""
        event = status_event(self.registry.app, self.workflow.summary(self.registry.app))
        self.pending.add(subject, event.json(), Position("", -1, -1), event)
        self.pending.log(subject, verdict)

    def decide(self, subject: Subject) -> None:
        """Log the verdict of a rule, guard or router, try again what failed, or ask a model."""
        pending = self.workflow.pending[subject]
        verdict = self._unknown_type(pending) or self._retry_verdict(pending)
        if verdict is None:
            verdict = verdict_in_branch(self.registry, pending, pending.event)
        if verdict is None:
            verdict = decide.before_model(self.registry, pending.event, self._routing_context(subject))
        if verdict is None and self.context.hourly:
            verdict = self._reserve(pending)
        if verdict is None:
            self.ask(subject)
        else:
            self.pending.log(subject, verdict)

    def ask(self, subject: Subject) -> None:
        """Ask now, or when the shard accepts work. Its timer stands for the ask until it is answered."""
        pending = self.workflow.pending[subject]
        unknown = self._unknown_type(pending)
        if unknown is not None:
            self.pending.log(subject, unknown)
            return
        pending.stage = "asked"
        accepting = self.context.accepting
        if accepting:
            self.effects.append(Ask(self.workflow.id, subject, pending.attempt))
        self.timers.set(Timer.of("ask", self.workflow.id, subject), IN_FLIGHT if accepting else 0)

    def ask_again(self, subject: Subject) -> None:
        """Ask what was asked before, where no limit has been reached meanwhile."""
        pending = self.workflow.pending[subject]
        over = decide.over_limit(self.registry, self._routing_context(subject))
        if over is None and self.context.hourly:
            over = self._reserve(pending)
        if over is None:
            self.ask(subject)
        else:
            self.pending.log(subject, over)

    def asked_in_vain(self, subject: Subject, outcome: ModelUnavailable) -> None:
        """Count what that has used. Ask again after a pause that grows, or, where that is bounded, settle it."""
        pending = self.workflow.pending[subject]
        if outcome.bounded and pending.asks + 1 >= MOST_ASKS:
            self.answer(subject, outcome)
            return
        pause_ms = min(ASK_AGAIN_MS << min(pending.asks, 10), ASK_AGAIN_MAX_MS)
        pending.asks += 1
        self._charge(pending, model_usage(outcome, pending.used), self.now)
        wanted_ms = min(int(outcome.retry_after_s * 1000), RETRY_AFTER_MAX_MS)
        self.timers.set(Timer.of("ask", self.workflow.id, subject), self.now + max(pause_ms, wanted_ms))

    def question(self, pending: PendingDecision) -> Question:
        """What to ask a model about something that is pending."""
        return question(self.registry, pending.event, pending.failures, self.workflow.history)

    def answer(self, subject: Subject, outcome: ModelDecision | ModelUnavailable) -> None:
        """Log what a model's answer stands for."""
        pending = self.workflow.pending[subject]
        verdict = decide.after_model(self.registry, pending.event, self._routing_context(subject), outcome)
        self.pending.log(subject, verdict, outcome)

    def read_back(self, record: Decision) -> None:
        """A record has come back: act on it, or refuse it and decide anew."""
        workflow, subject = self.workflow, record.subject
        try:
            event = record.parsed_event()
        except Rejected as error:
            letter = DeadLetter.of(error, record.event.encode(), record.position, self.now)
            self.effects.append(WriteDeadLetter(letter))
            return
        if self.context.usage.replaying:
            workflow.name_inputs(record)
        if record.action == "late" or counts_no_more(workflow, record):
            workflow.spend(record.prompt_tokens + record.completion_tokens, record.cost)
            self._charge(workflow.pending.get(subject), usage_of(record), record.at)
            self.pending.settled(subject)
            if record.action == "late" and subject.id in workflow.dispatches:
                self.pending.give_up_answers(subject.id)
                self.dispatches.close(subject.id, abandoned=True)
            return
        if subject.kind == "dispatch":
            self.gathers.came_to_result(subject.id)
        was_pending = subject in workflow.pending
        if not was_pending:
            self.pending.admit_record(record, event)
        pending = workflow.pending[subject]
        if read_back_error(self.registry, workflow, record, event) is None:
            self._act(record, event, pending)
            return
        self._charge(pending, usage_of(record), record.at)
        pending.attempt = record.attempt + 1
        workflow.known.refuse(subject, pending.attempt)
        pending.record = None
        self.timers.clear(Timer.of("log", workflow.id, subject))
        if was_pending:
            self.decide(subject)
        else:
            pending.stage = "unread"
            self.timers.set(Timer.of("event", workflow.id, subject), self.now + UNREAD_MS)

    def log_again(self, subject: Subject, text: str) -> None:
        """Write a record that has not come back, once the ledger has been read past it: before, it may only be late."""
        record = parse_record(text)
        since = self.now - record.at
        if self.context.read_until >= record.at or since >= BEHIND_MS:
            self.effects.append(Log(record))
        self.timers.set(Timer.of("log", self.workflow.id, subject), self.now + again_ms(since))

    def finish(self, *, ended: bool = False) -> list[Effect]:
        """Store the workflow, or its tombstone where it has come to its end.

        Before the fence a workflow only seems idle: what it waits for may be a record or an event still to be read.
        It has `ended` where the ledger tells that it was begun again.
        """
        context, workflow, usage = self.context, self.workflow, self.context.usage
        if workflow.at_its_end:
            if (context.fenced and not context.taking_up) or ended:
                workflow.end()
            else:
                self.timers.set(Timer("end", workflow.id), 0)
        existed, running = workflow.id in context.workflows, workflow.status == "running"
        self.dispatches.count(running)
        usage.reserved += (workflow.reserved if running else 0) - self._reserved
        if running:
            if workflow.pending or not workflow.known.empty:
                if context.workflows.save(workflow) > self.registry.file.limits.workflow_bytes:
                    self._too_large()
                if not existed:
                    usage.workflows += 1
                    deadline_ms = int(self.registry.file.limits.deadline * 1000)
                    self.timers.set(Timer("deadline", workflow.id), workflow.started_at + deadline_ms)
            return self.effects
        # The record's time and not this one's, so that an end that is told again after a crash is the same event.
        workflow.ended_at = workflow.last_at or self.now
        if context.fenced:
            self.pending.drop_retries()
        self.timers.clear_workflow(workflow.id)
        tombstone = Tombstone.of(workflow, self.registry.app)
        context.workflows.bury(tombstone)
        if existed:
            usage.workflows -= 1
        self.effects.append(context.summary_effect(tombstone.summary))
        return self.effects

    def _act(self, record: Decision, event: Event, pending: PendingDecision) -> None:
        workflow, subject = self.workflow, record.subject
        self.pending.settled(subject)
        workflow.account(record, event.type)
        if record.request is not None:
            workflow.known.carry_out(record.request)
        self._charge(pending, usage_of(record), record.at)
        if record.action == "dispatch" and subject.kind == "approval" and record.decided_by == "operator":
            self.effects += self.dispatches.approve(subject.id)
            self._tell_status()
            return
        if subject.kind in ("timeout", "approval"):
            self.pending.give_up_answers(subject.id)
            self.dispatches.close(subject.id, abandoned=True)
        if record.action == "dispatch":
            self.effects += self.dispatches.begin(record, event, pending)
            self._tell_status()
        elif record.action in ("stop", "cancel"):
            workflow.status = "stopped" if record.action == "stop" else "cancelled"
            workflow.reason, workflow.code = record.reason, record.code
        elif record.action == "dead-letter":
            self._dead_letter(record, event, pending)
        elif record.action == "gather" and subject.kind == "gather":
            self.gathers.expire(subject.id)
        elif record.action == "gather":
            self.gathers.take(record, event, pending)
        elif workflow.idle:
            workflow.reason = record.reason
        if pending.branch is not None:
            self.gathers.review(pending.branch[0])

    def _dead_letter(self, record: Decision, event: Event, pending: PendingDecision) -> None:
        self.workflow.count_dead_letter(record)
        if record.subject.kind == "gather":
            pending.branch = self.workflow.dispatches[record.subject.id].branch
            self.dispatches.close(record.subject.id, abandoned=True)
        error = Rejected(record.code or "no-usable-decision", record.reason)
        place = (record.event, record.position)
        self.effects.append(dead_letter_effect(error, *place, self.now, self.workflow.id, event))

    def _unknown_type(self, pending: PendingDecision) -> Verdict | None:
        """What becomes of an event whose type was taken out of the app while it waited."""
        if pending.event.type in self.registry.contracts:
            return None
        reason = f"{pending.event.type} is no event type of the app any more"
        return Verdict("dead-letter", "guard", reason, code="unknown-type")

    def _retry_verdict(self, pending: PendingDecision) -> Verdict | None:
        """Another attempt by the agent that failed, where it has one left; else the agent is left out."""
        if pending.attempt > MOST_REFUSALS:
            reason = f"{pending.attempt} decisions were refused when they were read back"
            return Verdict("dead-letter", "guard", reason, code="no-usable-decision")
        failure = pending.failure
        if failure is None:
            return None
        agent = self.registry.agents.get(failure["agent"])
        if agent is None or pending.tries >= agent.attempts or failure.get("retryable") is False:
            pending.failed, pending.failure = pending.failures, None
            return None
        reason = f"attempt {pending.tries + 1} of {agent.attempts}: {failure['reason']}: {failure['message']}"
        return Verdict("dispatch", "retry", reason, (agent.name,), delay_ms=backoff_ms(agent, pending.tries))

    def _charge(self, pending: PendingDecision | None, used: dict[str, Any], at: int) -> None:
        """Charge the hour with what asks have used, `used` being that of all asks so far."""
        tokens, cost = tokens_and_cost(used)
        if pending is not None:
            before_tokens, before_cost = tokens_and_cost(pending.used)
            tokens, cost = max(0, tokens - before_tokens), max(0.0, cost - before_cost)
            pending.used = max(pending.used, used, key=lambda item: int(item.get("model_calls", 0)))
        self.context.usage.spend(at, self.now, tokens, cost)

    def _reserve(self, pending: PendingDecision) -> Verdict | None:
        """Set tokens of this hour aside for an ask; the verdict where there are too few left."""
        tokens = self.question(pending).most_tokens
        over = self.context.over_hour(self.now, tokens - pending.reserved)
        if over is not None:
            return decide.stop("hour-limit", over)
        pending.reserved = tokens
        return None

    def _routing_context(self, subject: Subject) -> RoutingContext:
        workflow, pending = self.workflow, self.workflow.pending[subject]
        manual_retry = decide.is_manual_retry(pending.event, subject)
        tokens, cost = tokens_and_cost(pending.used)
        return RoutingContext(
            hop=pending.hop,
            rule=pending.rule,
            failed=pending.failed_agents,
            tokens=workflow.tokens + tokens,
            cost=workflow.cost if pending.used.get("cost") is None else (workflow.cost or 0.0) + cost,
            next_step=workflow.next_step,
            ancestors=pending.ancestors,
            dispatch_count=0 if manual_retry else workflow.dispatch_count,
            manual_retry=manual_retry,
            history=workflow.history,
        )

    def _duplicate(self) -> None:
        self.workflow.duplicates += 1
        self._tell_status()

    def _tell_status(self) -> None:
        self.effects.append(self.context.status_effect(self.workflow))
