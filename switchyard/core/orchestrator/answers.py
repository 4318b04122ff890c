"""Whether an event may answer the dispatch that it names (ADR 8)."""

from __future__ import annotations

from switchyard.core.errors import Rejected
from switchyard.core.event import Event
from switchyard.core.ids import answer_id
from switchyard.core.orchestrator.context import ShardContext
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.registry import FAILED_TYPE
from switchyard.core.topics import Topics


def check_answer(context: ShardContext, workflow: Workflow, event: Event, dispatch_id: str, now: int) -> None:
    """Note that its agent lives. Raises Rejected where it may not.

    What answers a dispatch that is closed is late or a repeat, and no harm.
    """
    if not workflow.has_dispatch(dispatch_id):
        raise Rejected("unknown-dispatch", "no such dispatch is known", "causationid")
    opened = workflow.dispatches.get(dispatch_id)
    if opened is None:
        return
    if opened.stage == "gather":
        _check_result(workflow, event, dispatch_id)
        return
    if opened.stage == "approval" or dispatch_id in context.unsent:
        raise Rejected("not-sent", f"{opened.agent} has not been given what this answers", "causationid")
    source = Topics(context.namespace).source(opened.agent)
    if event.source != source:
        raise Rejected("wrong-source", f"the dispatch is {opened.agent}'s, whose source is {source}", "source")
    agent = context.registry.agents.get(opened.agent)
    if agent is not None and event.type not in (*agent.emits, FAILED_TYPE):
        raise Rejected("not-emitted", f"{agent.name} emits {', '.join(agent.emits)} and {FAILED_TYPE}", "type")
    context.heard[opened.agent] = now


def open_attempt(workflow: Workflow, event: Event) -> str | None:
    """The further attempt that an answer to an earlier one settles as well; None where there is none.

    A worker makes an answer's id from the effect, which all attempts at it share.
    """
    for dispatch_id, opened in workflow.dispatches.items():
        if opened.stage == "sent":
            effect = opened.event.effect_key(opened.agent)
            if event.id == answer_id(effect, event.answer_index):
                return dispatch_id
    return None


def _check_result(workflow: Workflow, event: Event, gather_id: str) -> None:
    written = workflow.gathers[gather_id].result
    result = Event.trusted(written) if written else None
    if result is None or (result.id, result.source, result.content_hash) != (
        event.id,
        event.source,
        event.content_hash,
    ):
        raise Rejected("forged-answer", "it is not what the gather came to", "causationid")
