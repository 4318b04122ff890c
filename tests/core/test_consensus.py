"""Consensus is a function of the answers: order and repetition do not matter, and a vote can be explained."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchyard.core import strictjson
from switchyard.core.agents_file import Gather
from switchyard.core.contract import Contract
from switchyard.core.registry import GATHERED
from switchyard.core.routing.consensus import AgentAnswer, GatherPolicy, consensus, is_met

AGENTS = ("market", "risk", "sentiment", "research")
VOTES = st.sampled_from(["buy", "sell", "hold", 1, True, None])
ANSWERS = st.dictionaries(
    st.sampled_from(AGENTS),
    st.fixed_dictionaries({"stance": VOTES}, optional={"sure": st.floats(-1, 2) | st.text()}),
)


def policy(kind: str, **changes: Any) -> Gather:
    more = {"quorum": 2} if kind == "quorum" else {}
    return Gather.model_validate(
        {"on": "trade.requested", "policy": kind, "vote": "stance", "confidence": "sure", **more, **changes}
    )


def answers(**stances: Any) -> dict[str, AgentAnswer]:
    """Agent → its stance, or (stance, how sure)."""

    def data(stance: Any) -> dict[str, Any]:
        return dict(zip(("stance", "sure"), stance if isinstance(stance, tuple) else (stance,), strict=False))

    return {agent: AgentAnswer("view.given", data(stance)) for agent, stance in stances.items()}


def test_a_quorum_is_met_when_enough_agree_and_names_who_does_not() -> None:
    known = answers(market=("buy", 0.8), risk=("sell", 0.9))
    assert not is_met(policy("quorum"), AGENTS, known)
    known |= answers(sentiment=("buy", 0.6))
    assert is_met(policy("quorum"), AGENTS, known)
    result = consensus(policy("quorum"), known)
    assert (result.vote, result.dissent, result.confidence) == ("buy", ("risk",), round(1.4 / 3, 6))


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        ("1", "1.0", "1"),
        ("0", "-0.0", "0"),
        ("100", "1e2", "100"),
        ("9007199254740993", "9007199254740993", "9007199254740993"),
        ("1e300", "1.0e300", "1e+300"),
        ('{"a":[2,{"b":3.0}],"c":1}', '{"c":1.0,"a":[2.0,{"b":3}]}', '{"a":[2,{"b":3}],"c":1}'),
    ],
)
def test_equal_numbers_are_one_vote_however_they_are_written(one: str, other: str, text: str) -> None:
    known = answers(market=strictjson.loads(one), risk=strictjson.loads(other))
    assert is_met(policy("quorum"), AGENTS, known)
    assert consensus(policy("quorum"), known).vote == text


@pytest.mark.parametrize(("one", "other"), [("1", "true"), ("9007199254740993", "9007199254740992.0"), ("0.1", "0.2")])
def test_other_values_are_other_votes(one: str, other: str) -> None:
    known = answers(market=strictjson.loads(one), risk=strictjson.loads(other))
    assert not is_met(policy("quorum"), AGENTS, known)


def test_weights_and_confidence_decide_a_weighted_vote() -> None:
    known = answers(market=("buy", 1.0), risk=("sell", 0.9), sentiment=("buy", 0.2))
    assert consensus(policy("weighted"), known).vote == "buy"
    heavy = consensus(policy("weighted", weights={"risk": 3.0}), known)
    assert (heavy.vote, heavy.dissent) == ("sell", ("market", "sentiment"))
    assert heavy.confidence == round(2.7 / 5, 6)


def test_the_first_answer_is_the_vote_of_first() -> None:
    known = answers(risk="sell", market="buy")
    assert is_met(policy("first"), AGENTS, known)
    assert GatherPolicy(policy("first")).result(AGENTS, known, {})["vote"] == "sell"


@pytest.mark.parametrize("kind", ["all", "weighted"])
def test_all_must_have_answered(kind: str) -> None:
    known = answers(**dict.fromkeys(AGENTS[:3], "buy"))
    assert not is_met(policy(kind), AGENTS, known)
    assert is_met(policy(kind), AGENTS, known | answers(research="sell"))


@given(ANSWERS, st.randoms(), st.sampled_from(["all", "quorum", "weighted"]))
def test_the_order_of_answers_does_not_matter(data: dict[str, Any], random: Any, kind: str) -> None:
    order = list(data.items())
    random.shuffle(order)
    known = {agent: AgentAnswer("t", item) for agent, item in data.items()}
    shuffled = {agent: AgentAnswer("t", item) for agent, item in order}
    chosen = policy(kind, weights={"risk": 2.5})
    assert consensus(chosen, known) == consensus(chosen, shuffled)
    assert is_met(chosen, AGENTS, known) == is_met(chosen, AGENTS, shuffled)


@given(ANSWERS, st.integers(1, 4))
def test_a_quorum_is_explained_by_its_votes(data: dict[str, Any], needed: int) -> None:
    known = {agent: AgentAnswer("t", item) for agent, item in data.items()}
    chosen = policy("quorum", quorum=needed)
    result = consensus(chosen, known)
    agreeing = [vote.agent for vote in result.votes if vote.vote == result.vote]
    assert (result.vote is not None) == is_met(chosen, AGENTS, known)
    if result.vote is not None:
        assert len(agreeing) >= needed
        assert {*agreeing, *result.dissent} == {vote.agent for vote in result.votes}
    assert 0.0 <= result.confidence <= 1.0


@given(ANSWERS, st.sampled_from(["all", "quorum", "first", "weighted"]))
def test_the_result_meets_the_built_in_contract_and_holds_every_answer(data: dict[str, Any], kind: str) -> None:
    known = {agent: AgentAnswer("view.given", item) for agent, item in data.items()}
    missing = {agent: "no answer within 10 s" for agent in AGENTS if agent not in known}
    result = GatherPolicy(policy(kind)).result(AGENTS, known, missing)
    Contract.of("trade.requested.gathered", dict(GATHERED)).check(result)
    assert {item["agent"] for item in result["answers"]} | {item["agent"] for item in result["missing"]} == set(AGENTS)
