"""The last line of a demo: what went in, what came out, and whether anything is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from switchyard.cli import formatting
from switchyard.cli.observe import Observed
from switchyard.cli.reading import has_ended, is_about_event
from switchyard.core.app import App
from switchyard.local.info import StackInfo
from switchyard.worker.background import BackgroundContext


def app_hooks(app: App) -> Any:
    """The app's `demo.py`: `waiting(context) -> int`, `outcome(agents) -> str`, ENVIRONMENT; None where it has none."""
    if not (app.folder / "demo.py").is_file():
        return None
    from switchyard.core.app_code import AppCode

    return AppCode(app.folder).module("demo")


def demo_environment(app: App) -> dict[str, str]:
    """Variables that a demo of the app sets for its worker; empty where its `demo.py` names none."""
    return dict(getattr(app_hooks(app), "ENVIRONMENT", {}))


def still_to_do(app: App, context: BackgroundContext) -> int:
    """What the app's background functions have yet to do, such as mails that are not due."""
    hooks = app_hooks(app)
    return int(hooks.waiting(context)) if hooks is not None else 0


def sends_mails(app: App) -> bool:
    """Whether a demo of the app counts mails: MAILS of its `demo.py`."""
    return bool(getattr(app_hooks(app), "MAILS", False))


def in_words(app: App, left: int) -> str:
    """What `still_to_do` counts, in words."""
    return f"{formatting.counted(left, 'mail')} still to be sent" if sends_mails(app) else f"{left} still to do"


def logs_of(info: StackInfo, namespace: str) -> str:
    """The logs that tell of trouble in a namespace: of its agents, and of its job where the stack runs that."""
    logs = [info.programs[name].log for name in (f"worker-{namespace}", "flink-taskmanager") if name in info.programs]
    return " and ".join(logs) or str(info.home / "log")


def outcomes(app: App, observed: Observed) -> dict[str, int]:
    """How workflows went, in the app's own words."""
    hooks = app_hooks(app)
    if hooks is None:
        return {}
    agents: dict[str, set[str]] = {name: set() for name, item in observed.workflows.items() if item["ended_at"]}
    for decision in observed.decisions:
        agents.get(decision.workflow_id, set()).update(decision.agents)
    counts = Counter(dict.fromkeys(hooks.OUTCOMES, 0))
    counts.update(hooks.outcome(names) for names in agents.values())
    return dict(counts)


def mails(folder: Path, namespace: str) -> tuple[int, int]:
    """How many mails of a namespace were kept, and how many came a second time."""
    names = [path.name for path in (folder / namespace).glob("*.eml")]
    repeated = sum(".repeat" in name for name in names)
    return len(names) - repeated, repeated


def model_calls(info: StackInfo, namespace: str, observed: Observed) -> dict[str, Any]:
    """Calls for routing and by agents: as the embedded server counted them, else as the clients did."""
    if info.model_embedded:
        counts = _get(info.model_base_url.removesuffix("/v1") + f"/calls?namespace={namespace}")
        return {"model_calls": counts["routing"], "agent_model_calls": counts["agents"]}
    worker = info.programs.get(f"worker-{namespace}")
    health = _get(worker.health.address) if worker else {}
    return {
        "model_calls": sum(record.model_calls for record in observed.records),
        "agent_model_calls": int(health.get("model_calls", 0)),
        "counted_by": "client",
    }


def gathers(app: App, observed: Observed) -> dict[str, int]:
    """How many gathers came to a result, how many of them without all they asked for, how many with dissent."""
    types = {item.result for item in app.registry.file.gathers}
    if not types:
        return {}
    events = {record.subject: record.parsed_event() for record in observed.decisions if is_about_event(record)}
    made = (event for event in events.values() if event.type in types and event.causation_id is not None)
    results = [event.data for event in made if app.registry.meets_contract(event)]
    return {
        "gathers": len(results),
        "partial_gathers": sum(not data["complete"] for data in results),
        "dissents": sum(bool(data["dissent"]) for data in results),
    }


def summary(app: App, observed: Observed, info: StackInfo, namespace: str, seconds: float) -> dict[str, Any]:
    """The figures of one demo."""
    statuses = Counter(item["status"] for item in observed.workflows.values())
    counted = model_calls(info, namespace, observed)
    return {
        "workflows": len(observed.workflows),
        "completed": statuses["completed"],
        "dead_letters": len(observed.dead_letters),
        "duplicates": sum(item["duplicates"] for item in observed.workflows.values()),
        "decisions": len(observed.decisions),
        "decided_by_model": sum(decision.decided_by == "model" for decision in observed.decisions),
        "model_calls": counted.pop("model_calls"),
        "agent_model_calls": counted.pop("agent_model_calls"),
        "dispatches": sum(len(decision.agents) for decision in observed.decisions),
        **({"emails": mails(info.mail_folder, namespace)[0]} if sends_mails(app) else {}),
        "outcomes": outcomes(app, observed),
        **gathers(app, observed),
        "seconds": round(seconds, 1),
        **counted,
    }


def lost(lines: int, figures: Mapping[str, Any], observed: Observed, logs: str) -> list[str]:
    """A sentence for each thing that is missing at the end; empty where nothing was lost. `logs` tell of trouble."""
    problems = []
    accounted = figures["workflows"] + len(observed.dead_letters) + figures["duplicates"]
    if accounted < lines:
        problems.append(f"{lines - accounted} of {lines} lines led to nothing")
    open_ones = [name for name, item in observed.workflows.items() if not has_ended(item)]
    if open_ones:
        problems.append(f"{len(open_ones)} workflows have not ended, such as {open_ones[0]}")
    if problems:
        problems[-1] += f"; look into {logs}"
    return problems


def _get(url: str) -> dict[str, Any]:
    """The answer of a server of the stack itself, before which no proxy stands."""
    value: dict[str, Any] = httpx2.get(url, timeout=10, trust_env=False).raise_for_status().json()
    return value
