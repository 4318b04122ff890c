"""Shares and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .briefs import Brief


@dataclass(frozen=True)
class Portfolio:
    """Shares by ticker at prices by ticker; every ticker held has a price."""

    shares: Mapping[str, float]
    prices: Mapping[str, float]

    @property
    def value(self) -> float:
        return sum(shares * self.prices[ticker] for ticker, shares in self.shares.items())

    @property
    def weights(self) -> dict[str, float]:
        """Each ticker's share of the value; empty where nothing is held."""
        value = self.value
        return {ticker: shares * self.prices[ticker] / value for ticker, shares in self.shares.items() if shares}

    def after(self, brief: Brief) -> Portfolio:
        """With the brief's trade done, as far as what is held allows; unchanged where there is none."""
        if brief.trade is None:
            return self
        ticker, moved = str(brief.trade["ticker"]), brief.direction * float(brief.trade["quantity"])
        shares = max(0.0, self.shares.get(ticker, 0.0) + moved)
        return Portfolio({**self.shares, ticker: shares}, self.prices)
