"""The risk manager's numbers: what a portfolio may lose in a month, before and after a trade."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from . import measures, prices
from .briefs import Brief, Stance
from .portfolio import Portfolio

LEVEL = 0.95
MOST_AT_RISK = 0.15
MOST_IN_ONE = 0.6


def assess(brief: Brief) -> dict[str, Any]:
    """The data of risk.assessed: of what is held, else of equal parts. Raises AgentError where there are no prices."""
    tickers = tuple(dict.fromkeys((*brief.tickers, *brief.holdings)))
    table = prices.known_on(tickers, brief.as_of)
    moves = measures.returns(table.to_numpy())
    last = dict(zip(tickers, table.iloc[-1].tolist(), strict=True))
    now = Portfolio(brief.holdings, last)
    after = now.after(brief)
    weights = now.weights if now.value or brief.trade else dict.fromkeys(tickers, 1.0 / len(tickers))
    series = moves @ _vector(weights, tickers)
    at_risk = measures.value_at_risk(series, LEVEL)
    at_risk_after = measures.value_at_risk(moves @ _vector(after.weights, tickers), LEVEL)
    stance, sure = _stance(brief, at_risk, at_risk_after, after)
    table_of_pairs = measures.correlation(moves)
    return {
        "trade": brief.trade,
        "as_of": brief.as_of.isoformat(),
        "source": prices.source().name,
        "value": now.value,
        "weights": weights,
        "value_at_risk": at_risk,
        "shortfall": measures.shortfall(series, LEVEL),
        "volatility": measures.volatility(series, prices.PERIODS_PER_YEAR),
        "largest_drawdown": float(measures.drawdowns(np.cumprod(1.0 + np.append(0.0, series))).max()),
        "correlations": [
            {"one": tickers[i], "other": tickers[j], "coefficient": float(table_of_pairs[i, j])}
            for i, j in combinations(range(len(tickers)), 2)
        ],
        "value_at_risk_after": None if brief.trade is None else at_risk_after,
        "stance": stance,
        "confidence": round(sure, 4),
        "summary": _summary(brief, at_risk, at_risk_after, after),
    }


def _vector(weights: dict[str, float], tickers: tuple[str, ...]) -> measures.Array:
    return np.array([weights.get(ticker, 0.0) for ticker in tickers])


def _short(brief: Brief) -> bool:
    """Whether the trade sells more than is held."""
    trade = brief.trade
    return trade is not None and brief.direction < 0 and trade["quantity"] > brief.holdings.get(trade["ticker"], 0.0)


def _stance(brief: Brief, before: float, after: float, portfolio: Portfolio) -> tuple[Stance | None, float]:
    """Against a trade that takes the portfolio over a limit, or further over it; for one that keeps the limits."""
    if brief.trade is None:
        return None, 0.0
    if _short(brief):
        return "against", 1.0
    part = portfolio.weights.get(brief.trade["ticker"], 0.0)
    over = after > MOST_AT_RISK and after > before
    crowded = brief.direction > 0 and part > MOST_IN_ONE and len(portfolio.weights) > 1
    if over or crowded:
        return "against", min(1.0, max(after / MOST_AT_RISK, part / MOST_IN_ONE) - 0.5)
    if after <= MOST_AT_RISK or after < before:
        return "for", min(1.0, max(0.0, 1.0 - after / (2 * MOST_AT_RISK)))
    return "neutral", 0.5


def _summary(brief: Brief, before: float, after: float, portfolio: Portfolio) -> str:
    if brief.trade is None:
        return f"In 19 months of 20 the loss stays within {before:.1%} of the value."
    if _short(brief):
        return f"The trade sells {brief.trade['quantity']:g} {brief.trade['ticker']}, more than are held."
    part = portfolio.weights.get(brief.trade["ticker"], 0.0)
    return (
        f"In 19 months of 20 the loss stays within {before:.1%} of the value, within {after:.1%} after the trade; "
        f"{brief.trade['ticker']} is then {part:.0%} of it."
    )
