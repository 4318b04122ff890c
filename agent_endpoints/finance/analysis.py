"""The market analyst's numbers: how each price has moved, and what that says about a trade."""

from __future__ import annotations

from typing import Any

from . import measures, prices
from .briefs import Brief

OUTLOOK = {"up": 1.0, "down": -1.0, "flat": 0.0}


def analyse(brief: Brief) -> dict[str, Any]:
    """The data of market.analysed. Raises AgentError where there are no prices."""
    assets = [_asset(brief, ticker) for ticker in brief.tickers]
    first = assets[0]
    sure = min(1.0, abs(first["momentum"]) / first["volatility"]) if first["volatility"] > 0 else 0.0
    return {
        "trade": brief.trade,
        "as_of": brief.as_of.isoformat(),
        "source": prices.source().name,
        "assets": assets,
        "stance": brief.stance(OUTLOOK[first["trend"]]),
        "confidence": round(sure, 4),
        "summary": " ".join(_sentence(asset) for asset in assets),
    }


def _asset(brief: Brief, ticker: str) -> dict[str, Any]:
    table = prices.known_on([ticker], brief.as_of)
    closes = table[ticker].to_numpy()
    moves = measures.returns(closes)
    fallen = measures.drawdowns(closes)
    return {
        "ticker": ticker,
        "price": float(closes[-1]),
        "known_on": table.index[-1].date().isoformat(),
        "last_month": float(moves[-1]),
        "momentum": measures.momentum(closes),
        "annual_return": measures.annual_return(closes, prices.PERIODS_PER_YEAR),
        "volatility": measures.volatility(moves, prices.PERIODS_PER_YEAR),
        "drawdown": float(fallen[-1]),
        "largest_drawdown": float(fallen.max()),
        "trend": measures.trend(closes),
    }


def _sentence(asset: dict[str, Any]) -> str:
    return (
        f"{asset['ticker']} closed at {asset['price']:.2f} on {asset['known_on']}: {asset['momentum']:+.1%} in twelve "
        f"months, {asset['drawdown']:.1%} below its high, volatility {asset['volatility']:.1%} a year; "
        f"its trend is {asset['trend']}."
    )
