"""A router of an app's own: Python that decides where neither SQL nor a model fits."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from typing import Protocol

from switchyard.core.event import Event
from switchyard.core.routing.verdict import RoutingContext, Verdict

log = logging.getLogger(__name__)

LONGEST_REASON = 500


class Router(Protocol):
    """Decides wherever a model would be asked, before it.

    So it is asked about events that no rule, `ends` or `sequence` decides, and again once an agent has failed.

    An app names it in `agents.yaml` as `router: module:function`. It is called in the TaskManager and must neither wait
    nor have effects: what it returns is logged, like a model's answer, and acted on when the record is read back. It is
    not called at a replay, but may be once more where a crash came before the record, or the record was refused.
    """

    def __call__(self, event: Event, context: RoutingContext) -> Verdict | None:
        """Return `Verdict.dispatch(...)` or `Verdict.complete(...)`, or None to leave the event to the model.

        It may name `context.candidates` only. What it raises, and what it returns wrongly, sends the event to the app's
        fallback, or where it has none into the dead letters, with the code `router-failed`.
        """
        ...


def routed(
    router: Router, event: Event, context: RoutingContext, candidates: tuple[str, ...]
) -> tuple[Verdict | None, str | None]:
    """The router's verdict, or, in the second place, a sentence on what is wrong with it."""
    try:
        # Copies: what a router does with them must not change the workflow.
        verdict = router(copy.deepcopy(event), replace(copy.deepcopy(context), candidates=candidates))
        return (None, None) if verdict is None else (_plain(verdict, candidates), None)
    except _Wrong as wrong:
        return None, f"the router {wrong}"
    except Exception as error:
        log.exception("the router failed on event %s of workflow %s", event.id, event.workflow_id)
        return None, f"the router raised {type(error).__name__}; the log of the TaskManager has the trace"


class _Wrong(Exception):
    """What the router did that it may not, to be continued after "the router"."""


def _plain(verdict: object, candidates: tuple[str, ...]) -> Verdict:
    """The verdict with nothing in it but what a record can hold. Raises _Wrong."""
    if not isinstance(verdict, Verdict):
        raise _Wrong(f"returned {type(verdict).__name__}, and not a Verdict or None")
    if verdict.action not in ("dispatch", "complete"):
        raise _Wrong(f"returned the action {verdict.action!r:.80}; it may dispatch or complete")
    agents = tuple(dict.fromkeys(verdict.agents)) if verdict.action == "dispatch" else ()
    wrong = [name for name in agents if name not in candidates]
    if wrong or (verdict.action == "dispatch" and not agents):
        raise _Wrong(
            f"named {repr(wrong[0])[:80] if wrong else 'no agent'}; the candidates are {', '.join(candidates)}"
        )
    confidence = None if verdict.confidence is None else float(verdict.confidence)
    if confidence is not None and not 0.0 <= confidence <= 1.0:
        raise _Wrong(f"gave the confidence {confidence}, which is from 0 to 1")
    reason = str(verdict.reason)[:LONGEST_REASON].encode(errors="replace").decode()
    return Verdict(verdict.action, "router", reason, tuple(map(str, agents)), confidence=confidence)
