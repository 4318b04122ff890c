"""Whether a record that was read back is acted on.

Only what follows from the ledger's order is looked at, so that a record once acted on is so at every replay.
"""

from __future__ import annotations

from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.open_work import OpenDispatch
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.registry import Registry
from switchyard.core.routing import decide
from switchyard.core.routing.verdict import RoutingContext


def read_back_error(registry: Registry, workflow: Workflow, record: Decision, event: Event) -> str | None:
    """Why a record must not be acted on; None where it may. What it settles is pending in the workflow.

    A record of another registry was judged by that one; judged by today's, what was done would be done anew, and what
    was refused would be done after all.
    """
    if record.action != "dispatch" or record.decided_by == "operator":
        return None
    of_another = record.registry_version not in ("", registry.version)
    error = None if of_another else decide.dispatch_error(registry, event, record.action, record.agents)
    if error is not None or record.decided_by == "retry" or (of_another and record.dispatch_limit is None):
        return error
    limit = registry.file.limits.dispatches if record.dispatch_limit is None else record.dispatch_limit
    order = registry.file.sequence if record.sequence is None else record.sequence
    manual_retry = decide.is_manual_retry(event, record.subject)
    context = RoutingContext(
        failed=record.failed,
        ancestors=workflow.pending[record.subject].ancestors,
        dispatch_count=0 if manual_retry else workflow.dispatch_count,
    )
    stopped = decide.over_dispatches(limit, event, context, record.agents)
    if stopped is not None:
        return stopped.reason
    return decide.out_of_order(order, record.agents, workflow.next_step, manual_retry=manual_retry)


def counts_no_more(workflow: Workflow, record: Decision) -> bool:
    """Whether the ledger's order has made this record late: see ADR 5."""
    subject, known = record.subject, workflow.known
    if subject.kind == "dispatch":
        return known.is_abandoned(subject.id)
    if subject.kind == "timeout":
        return known.is_answered(subject.id) or known.is_abandoned(subject.id)
    if subject.kind == "gather":
        gather = workflow.gathers.get(subject.id)
        return gather is None or (record.action == "gather" and gather.result is not None)
    if subject.kind == "approval":
        opened = workflow.dispatches.get(subject.id)
        return opened is None or (record.action == "dispatch" and not _waits_for(record, opened))
    return False


def _waits_for(approval: Decision, opened: OpenDispatch) -> bool:
    return opened.stage == "approval" and approval.agents == (opened.agent,)
