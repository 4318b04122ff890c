"""A consensus policy of an app's own: when a gather is complete, and what its answers come to."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import pytest

from switchyard.core.agents_file import Gather
from switchyard.core.contract import Contract
from switchyard.core.registry import GATHERED
from switchyard.core.routing.consensus import AgentAnswer, Consensus, ConsensusPolicy, GatherPolicy, Vote

EXPECTED = ("market", "risk", "sentiment")
ANSWERS = {"market": AgentAnswer("view", {"stance": "buy"}), "risk": AgentAnswer("view", {"stance": "sell"})}


def veto(answers: Mapping[str, AgentAnswer], expected: Sequence[str]) -> Consensus | None:
    """Risk alone decides; nobody else is waited for."""
    risk = answers.get("risk")
    return None if risk is None else Consensus(str(risk.data["stance"]), 1.0, dissent=("market",))


def gather(policy: ConsensusPolicy | None) -> GatherPolicy:
    return GatherPolicy(Gather(on="trade.requested", policy="policies:veto"), policy)


def test_it_says_when_a_gather_is_complete_and_what_it_results_in() -> None:
    policy = gather(veto)
    assert not policy.is_met(EXPECTED, {"market": ANSWERS["market"]})
    assert policy.is_met(EXPECTED, ANSWERS)
    result = policy.result(EXPECTED, ANSWERS, {"sentiment": "was not needed"})
    Contract.of("trade.requested.gathered", GATHERED).check(result)
    assert (result["vote"], result["complete"], result["dissent"]) == ("sell", True, ["market"])
    assert result["policy"] == "policies:veto"


def fails(answers: Mapping[str, AgentAnswer], expected: Sequence[str]) -> Consensus:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "wrong",
    [
        fails,
        lambda answers, expected: "sell",
        lambda answers, expected: Consensus("sell", 7.0),
        lambda answers, expected: Consensus("sell", float("nan")),
        lambda answers, expected: Consensus("sell", True),
        lambda answers, expected: Consensus(5, 1.0),
        lambda answers, expected: Consensus("sell", 1.0, dissent=(None,)),
        lambda answers, expected: Consensus("sell", 1.0, votes=(Vote("risk", "\ud800", 1.0, 1.0),)),
        None,
    ],
)
def test_one_that_fails_has_no_vote_and_is_logged(
    wrong: ConsensusPolicy | None, caplog: pytest.LogCaptureFixture
) -> None:
    policy = gather(wrong)
    with caplog.at_level(logging.ERROR):
        assert not policy.is_met(EXPECTED, ANSWERS)
        result = policy.result(EXPECTED, ANSWERS, {})
    Contract.of("trade.requested.gathered", GATHERED).check(result)
    assert (result["vote"], result["complete"]) == (None, False)
    assert wrong is None or "policies:veto" in caplog.text


def test_what_it_does_with_the_answers_changes_none() -> None:
    def greedy(answers: Mapping[str, AgentAnswer], expected: Sequence[str]) -> Consensus:
        answers["risk"].data["stance"] = "buy"
        return Consensus("buy", 1.0)

    result = gather(greedy).result(EXPECTED, ANSWERS, {})
    assert ANSWERS["risk"].data == {"stance": "sell"}
    assert '{"stance":"sell"}' in result["answers"][1]["data"]
