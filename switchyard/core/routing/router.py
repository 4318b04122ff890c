"""A router of an app's own: Python that decides where neither SQL nor a model fits."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Protocol

from switchyard.core.event import Event
from switchyard.core.routing.verdict import RoutingContext, Verdict

log = logging.getLogger(__name__)

LONGEST_REASON = 500


class Router(Protocol):
    """Decides about an event that no rule decides, before a model would be asked.

    An app names it in `agents.yaml` as `router: module:function`. It is called once for each such event, in the
    TaskManager, and must neither wait nor have effects: what it returns is logged, like a model's answer, and acted on
    when the record is read back, so that it is not called again at a replay.
    """

    def __call__(self, event: Event, context: RoutingContext) -> Verdict | None:
        """Return `Verdict.dispatch(...)` or `Verdict.complete(...)`, or None to leave the event to the model.

        It may name `context.candidates` only. What it raises, and what it returns wrongly, sends the event to the app's
        fallback, with the code `router-failed`.
        """
        ...


def routed(
    router: Router, event: Event, context: RoutingContext, candidates: tuple[str, ...]
) -> tuple[Verdict | None, str | None]:
    """The router's verdict, or, in the second place, a sentence on what is wrong with it."""
    try:
        verdict = router(event, replace(context, candidates=candidates))
    except Exception as error:
        log.exception("the router failed on event %s of workflow %s", event.id, event.workflow_id)
        return None, f"the router raised {type(error).__name__}; the log of the TaskManager has the trace"
    if verdict is None:
        return None, None
    if not isinstance(verdict, Verdict):
        return None, f"the router returned {type(verdict).__name__}, and not a Verdict or None"
    if verdict.action not in ("dispatch", "complete"):
        return None, f"the router returned the action {verdict.action!r}; it may dispatch or complete"
    wrong = [name for name in verdict.agents if name not in candidates]
    if wrong or (verdict.action == "dispatch" and not verdict.agents):
        named = repr(wrong[0])[:80] if wrong else "no agent"
        return None, f"the router named {named}; the candidates are {', '.join(candidates)}"
    agents = tuple(dict.fromkeys(verdict.agents))
    return replace(verdict, decided_by="router", agents=agents, reason=str(verdict.reason)[:LONGEST_REASON]), None
