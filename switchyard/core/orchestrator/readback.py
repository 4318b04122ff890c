"""Whether a record that was read back is acted on.

Only what follows from the ledger's order is looked at, so that a record once acted on is so at every replay.
"""

from __future__ import annotations

from switchyard.core.event import Event
from switchyard.core.ledger.record import Decision
from switchyard.core.orchestrator.workflow import Workflow
from switchyard.core.registry import Registry
from switchyard.core.routing import decide
from switchyard.core.routing.verdict import RoutingContext, Verdict


def read_back_error(registry: Registry, workflow: Workflow, record: Decision, event: Event) -> str | None:
    """Why a record must not be acted on; None where it may. What it settles is pending in the workflow.

    A record of another registry was judged by that one; judged by today's, what was done would be done anew.
    """
    if record.action == "dispatch" and record.decided_by == "operator":
        opened = workflow.dispatches.get(record.subject.id)
        waits = opened is not None and opened.stage == "approval" and record.agents == (opened.agent,)
        return None if waits else "nothing waits for this approval"
    if record.registry_version not in ("", registry.version):
        return None
    error = decide.dispatch_error(registry, event, record.action, record.agents)
    if error is not None or record.action != "dispatch":
        return error
    if record.decided_by == "retry":
        return None
    manual_retry = decide.is_manual_retry(event, record.subject)
    context = RoutingContext(
        failed=record.failed,
        ancestors=workflow.pending[record.subject].ancestors,
        dispatch_count=0 if manual_retry else workflow.dispatch_count,
    )
    verdict = decide.guarded(registry, event, context, Verdict("dispatch", "guard", "", record.agents))
    if verdict.action != "dispatch":
        return verdict.reason
    return decide.out_of_order(registry, record.agents, workflow.next_step, manual_retry=manual_retry)


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
    return subject.kind == "approval" and subject.id not in workflow.dispatches
