"""What an event asks about, read by the names of its fields: a new event type that has them needs nothing here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from switchyard import AgentError

Stance = Literal["for", "against", "neutral"]
TRADE = ("request_id", "user", "ticker", "side", "quantity", "as_of", "holdings", "research", "derivatives")


@dataclass(frozen=True)
class Brief:
    """`holdings` are shares by ticker; `trade` and `consensus` are as in the contracts, None where there is none.

    Nothing that became known after `as_of` may be used.
    """

    as_of: date
    tickers: tuple[str, ...]
    user: str
    holdings: Mapping[str, float]
    headlines: tuple[str, ...]
    trade: Mapping[str, Any] | None
    consensus: Mapping[str, Any] | None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Brief:
        """From the data of any event but a gathered one. Raises AgentError where it names nothing to work on."""
        trade = data.get("trade") or ({name: data[name] for name in TRADE} if "side" in data else None)
        about = trade or data
        holdings = {ticker: shares for ticker, shares in sorted(about.get("holdings", {}).items()) if shares}
        named = data.get("tickers") or [about[name] for name in ("ticker",) if name in about]
        tickers = tuple(dict.fromkeys(named or holdings))
        if not tickers:
            raise AgentError(
                "The event names no ticker and no holdings; one of them is needed.", reason="nothing-named"
            )
        if any(shares < 0 for shares in holdings.values()):
            raise AgentError(
                "Holdings must not be negative: short positions are not modelled.", reason="negative-shares"
            )
        if trade and trade["quantity"] <= 0:
            raise AgentError(
                "The quantity of a trade must be greater than 0; its side says buy or sell.", reason="no-quantity"
            )
        headlines = data.get("headlines") or [data[name] for name in ("headline",) if name in data]
        return cls(
            as_of=date.fromisoformat(about["as_of"]),
            tickers=tickers,
            user=about.get("user", ""),
            holdings=holdings,
            headlines=tuple(headlines),
            trade=trade,
            consensus=data.get("consensus"),
        )

    @classmethod
    def of_gathered(cls, data: Mapping[str, Any]) -> Brief:
        """From the answers about a trade and what came of their votes. Raises AgentError where nobody answered."""
        answers = [json.loads(answer["data"]) for answer in data["answers"]]
        if not answers:
            raise AgentError("No agent answered about the trade, so there is nothing to go by.", reason="no-answers")
        consensus = {
            "vote": data["vote"],
            "confidence": data["confidence"],
            "votes": [{"agent": item["agent"], "vote": item["vote"]} for item in data["votes"]],
            "dissent": data["dissent"],
            "missing": [item["agent"] for item in data["missing"]],
        }
        return cls.of({"trade": answers[0]["trade"], "consensus": consensus})

    @property
    def direction(self) -> int:
        """1 for a trade that buys, -1 for one that sells, 0 where there is none."""
        return 0 if self.trade is None else 1 if self.trade["side"] == "buy" else -1

    def stance(self, outlook: float) -> Stance | None:
        """What a good (> 0) or bad (< 0) outlook for the price says about the trade; None where there is none."""
        if self.trade is None:
            return None
        favour = outlook * self.direction
        return "for" if favour > 0 else "against" if favour < 0 else "neutral"
