"""The SDR app as a whole, from lead to campaign, with the offline texts; no Kafka, no router but the offline one."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from agent_endpoints.sdr import research
from switchyard.core import strictjson
from switchyard.core.event import Event
from switchyard.core.routing.prompt import routing_messages
from switchyard.local.model_server.choose import choose
from tests.agents.support import SDR, inbox_event, leads, lines

REGISTRY = SDR.registry


def routed(event: Event) -> str:
    """What the offline router decides for an event."""
    messages = routing_messages(REGISTRY, event.object(), REGISTRY.accepting(event.type))
    [name] = choose(strictjson.loads(messages[1]["content"]))["agents"]
    return str(name)


def run(processor: Any, lead: dict[str, Any], id: str = "x") -> tuple[list[str], Event]:
    """The agents a lead goes through, and the last event."""
    event = Event.new(id=id, source="t", type="lead.created", workflow_id="w", data=lead)
    path: list[str] = []
    while not REGISTRY.ends(event.type):
        name = routed(event)
        path.append(name)
        if name == "complete":
            break
        given_event = inbox_event(name, event.type, event.data, id=event.id)
        [event] = processor(name).handle(given_event.json().encode())
        assert event.type != "agent.failed", event.data
        REGISTRY.check(event)
    return path, event


OUTCOMES = {
    "outreach": ["lead-ingestion", "lead-scoring", "active-outreach", "send-email"],
    "nurture": ["lead-ingestion", "lead-scoring", "nurture-campaign", "send-email"],
    "disqualified": ["lead-ingestion", "lead-scoring", "complete"],
}


def test_every_lead_ends_as_it_should(processor: Any) -> None:
    found = {lead["lead_id"]: run(processor, lead, str(i)) for i, lead in enumerate(leads())}
    outcomes = Counter(next(o for o, p in OUTCOMES.items() if p == path) for path, _ in found.values())
    assert outcomes == {"outreach": 10, "nurture": 9, "disqualified": 6}


def test_leads_differ_in_scores_and_texts(processor: Any, model: Any) -> None:
    for i, lead in enumerate(leads()):
        run(processor, lead, str(i))
    answers = [
        strictjson.dumps(model._answer(a["purpose"], strictjson.loads(a["messages"][1]["content"])))
        for a in model.asked
    ]
    scores = {strictjson.loads(text)["score"] for text in answers if '"score"' in text}
    texts = [text for text in answers if '"emails"' in text]
    assert len(scores) >= 12
    assert len(set(texts)) >= 19


def test_the_file_has_25_leads_one_repeat_and_four_bad_lines() -> None:
    good = list(leads())
    assert len(lines()) == 30
    assert len(good) == 26
    assert len({lead["lead_id"] for lead in good}) == 25
    assert sum(len(line) > 256 * 1024 for line in lines()) == 1


def test_the_model_is_asked_for_what_it_adds_alone(processor: Any, model: Any) -> None:
    run(processor, next(leads()))
    assert [(a["purpose"], sorted(a["schema"]["properties"])) for a in model.asked] == [
        ("agent/test/lead-ingestion", ["summary"]),
        ("agent/test/lead-scoring", ["next_step", "reasons", "score", "talking_points"]),
        ("agent/test/active-outreach", ["emails"]),
    ]


NUMBERS = itertools.count()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LEADS = st.fixed_dictionaries(
    {
        "lead_id": TEXT,
        "name": TEXT,
        "email": st.sampled_from(["a@b.example", "jörg@büro.example", "o'n@x.y"]),
        "company": TEXT | st.sampled_from(["Halden Freight", "halden  FREIGHT Inc."]),
        "title": TEXT | st.sampled_from(["CTO", "Student", "VP"]),
        "source": TEXT,
        "interest": TEXT,
        "message": TEXT
        | st.sampled_from(["", "We need a demo and pricing for production", "nurture me, disqualify others"]),
        "created_at": st.just("2026-01-01T00:00:00Z"),
    }
)


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lead=LEADS)
def test_any_lead_ends(processor: Any, lead: dict[str, Any]) -> None:
    path, _ = run(processor, lead, f"any-{next(NUMBERS)}")
    assert path in OUTCOMES.values()


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"title": "Student", "message": "for my thesis"}, "disqualified"),
        ({"title": "CTO", "message": "We need a demo, pricing and a pilot", "source": "referral"}, "outreach"),
        ({"title": "Engineer", "interest": "overview", "message": "just learning", "source": "blog"}, "nurture"),
        ({"title": "", "interest": "", "message": "", "source": "", "name": ""}, "nurture"),
    ],
)
def test_unknown_companies_are_told_apart_too(processor: Any, changed: dict[str, str], path: str) -> None:
    lead = {**next(leads()), "company": "Nobody Knows It", **changed}
    assert run(processor, lead)[0] == OUTCOMES[path]


def test_a_huge_lead_stays_within_the_limit(processor: Any) -> None:
    lead = {**next(leads()), "message": "ü" * 10_000}
    run(processor, lead)


def test_research_says_what_it_does_not_know() -> None:
    assert research.lookup("HALDEN freight, Inc.")["employees"] == 5200
    assert research.lookup("No Such") == {"source": "companies.json", "industry": "", "employees": None, "facts": []}
