"""What a demo of this app waits for, and how it counts what came of the leads."""

from __future__ import annotations

from switchyard import BackgroundContext

from . import mails

ENVIRONMENT = {"SDR_DAY_SECONDS": "1"}
"""What a demo tells its worker: nobody waits a day for the second mail."""

MAILS = True
"""Whether a demo counts the mails that were sent."""

OUTCOMES = ("outreach", "nurture", "disqualified")


def waiting(context: BackgroundContext) -> int:
    """Mails that are still to be sent."""
    return mails.waiting(context.database, context.namespace)


def outcome(agents: set[str]) -> str:
    """What became of a lead, by the agents that had it."""
    if "active-outreach" in agents:
        return "outreach"
    return "nurture" if "nurture-campaign" in agents else "disqualified"
