"""What is done when a timer is due."""

from __future__ import annotations

from switchyard.core.orchestrator.timers import OF_SUBJECT, Timer
from switchyard.core.orchestrator.transition import WorkflowTransition


def do(transition: WorkflowTransition, timer: Timer) -> None:
    """Do what a timer stands for."""
    if timer.kind in OF_SUBJECT:
        _do_for_subject(transition, timer)
        return
    match timer.kind:
        case "send":
            transition.effects += transition.dispatches.send(timer.target)
        case "answer":
            transition.answer_overdue(timer.target)
        case "approval":
            transition.approval_overdue(timer.target)
        case "gather":
            transition.gathers.overdue(timer.target)
        case "publish":
            transition.gathers.publish(timer.target)
        case "deadline":
            transition.out_of_time()
        case "end":
            pass  # `finish` sees to it
        case _:
            raise ValueError(f"there is no timer {timer.kind!r}")


def _do_for_subject(transition: WorkflowTransition, timer: Timer) -> None:
    subject = timer.subject
    pending = transition.workflow.pending.get(subject)
    if pending is None:
        return
    if timer.kind == "ask":
        transition.ask_again(subject)
    elif timer.kind == "event":
        transition.decide(subject)
    elif pending.record is not None:
        transition.log_again(subject, pending.record)
