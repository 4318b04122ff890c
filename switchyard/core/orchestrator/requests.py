"""What an operator asks of a workflow, as a record of the ledger."""

from __future__ import annotations

from switchyard.core.control import Control
from switchyard.core.errors import Rejected
from switchyard.core.ledger.subject import Subject
from switchyard.core.orchestrator.messages import ControlRead
from switchyard.core.orchestrator.transition import WorkflowTransition
from switchyard.core.routing.verdict import Verdict


def log_request(transition: WorkflowTransition, item: ControlRead) -> None:
    """Log what an operator asks of this workflow. Raises Rejected where there is nothing it could be about."""
    control = item.control
    if control.kind == "cancel":
        subject = transition.workflow.cancel
        if subject not in transition.workflow.pending:
            transition.pending.add(subject, item.text, item.position, control.event)
            reason = _with_reason(f"cancelled by {control.by}", control)
            transition.pending.log(subject, Verdict("cancel", "operator", reason))
        return
    opened = transition.workflow.dispatches.get(control.approval)
    subject = Subject.approval(control.approval)
    if opened is None or opened.stage != "approval" or subject in transition.workflow.pending:
        raise Rejected("unknown-approval", "nothing waits for this approval", "data.approval")
    if control.content != opened.event.content_hash:
        message = "what waits is not the event that was shown; look again: switchyard approvals show"
        raise Rejected("other-content", message, "data.content")
    if control.kind == "approve":
        reason = _with_reason(f"approved by {control.by}", control)
        verdict = Verdict("dispatch", "operator", reason, (opened.agent,))
    else:
        reason = _with_reason(f"{opened.agent} was not approved by {control.by}", control)
        verdict = Verdict("stop", "operator", reason, code="rejected")
    transition.pending.settle_dispatch(subject, opened)
    transition.pending.log(subject, verdict)


def _with_reason(what: str, control: Control) -> str:
    return f"{what}: {control.reason}" if control.reason else what
