"""The portfolio optimizer's numbers: weights under constraints, of which the consensus about a trade is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import allocation, measures, prices, risk
from .briefs import Brief
from .portfolio import Portfolio


def suggest(brief: Brief, expected: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The data of rebalancing.suggested. `expected` are a year's returns that research puts in place of past ones.

    A trade that found consensus is done within the weights; any other leaves its ticker where it is.
    Raises AgentError where there are no prices.
    """
    agreed = brief.trade is not None and (brief.consensus or {}).get("vote") == "for"
    wanted = brief.tickers if agreed or brief.trade is None else ()
    tickers = tuple(dict.fromkeys((*brief.holdings, *wanted)))
    if not tickers:
        return _result(brief, Portfolio({}, {}), {}, {}, (0.0, 0.0, 0.0), expected)
    table = prices.known_on(tickers, brief.as_of)
    moves = measures.returns(table.to_numpy())
    last = dict(zip(tickers, table.iloc[-1].tolist(), strict=True))
    now = Portfolio(brief.holdings, last)
    base = now.after(brief) if agreed else now
    if agreed and not base.value:
        sold = {ticker: -shares for ticker, shares in now.shares.items()}
        return _result(brief, now, {}, sold, (0.0, 0.0, 0.0), expected)
    mean = moves.mean(axis=0) * prices.PERIODS_PER_YEAR
    mean = np.array([(expected or {}).get(ticker, mean[i]) for i, ticker in enumerate(tickers)])
    covariance = np.atleast_2d(np.cov(moves, rowvar=False, ddof=1)) * prices.PERIODS_PER_YEAR
    bounds = allocation.limits(tickers, _special(brief, base, agreed))
    optimal = allocation.allocate(mean, covariance, bounds)
    weights = {ticker: round(float(weight), 6) for ticker, weight in zip(tickers, optimal, strict=True)}
    value = base.value
    changes = {
        ticker: round(weights[ticker] * value / last[ticker] - now.shares.get(ticker, 0.0), 4)
        for ticker in tickers
        if value
    }
    figures = (
        float(mean @ optimal),
        float(np.sqrt(optimal @ covariance @ optimal)),
        measures.value_at_risk(moves @ optimal, risk.LEVEL),
    )
    return _result(brief, now, weights, changes, figures, expected)


def _special(brief: Brief, base: Portfolio, agreed: bool) -> dict[str, tuple[float, float]]:
    """The bounds that the consensus sets for the ticker of a trade."""
    if brief.trade is None:
        return {}
    ticker = str(brief.trade["ticker"])
    if ticker not in base.shares:
        return {}
    part = base.weights.get(ticker, 0.0)
    if not agreed:
        return {ticker: (part, part)}
    if brief.direction < 0:
        return {ticker: (0.0, part)}
    most = allocation.most(len(base.shares))
    return {ticker: (min(part, most), most)}


def _result(
    brief: Brief,
    now: Portfolio,
    weights: dict[str, float],
    changes: dict[str, float],
    figures: tuple[float, float, float],
    expected: Mapping[str, float] | None,
) -> dict[str, Any]:
    return {
        "trade": brief.trade,
        "consensus": brief.consensus,
        "user": brief.user,
        "as_of": brief.as_of.isoformat(),
        "value": now.value,
        "weights_now": now.weights,
        "weights": weights,
        "changes": changes,
        "expected_return": figures[0],
        "volatility": figures[1],
        "value_at_risk": figures[2],
        "revised": expected is not None,
        "summary": _summary(brief, weights, changes, expected),
    }


def _summary(
    brief: Brief, weights: Mapping[str, float], changes: Mapping[str, float], expected: Mapping[str, float] | None
) -> str:
    sentences = ["Revised after research." if expected is not None else ""]
    if brief.trade is not None:
        about = f"{brief.trade['side']} {brief.trade['quantity']:g} {brief.trade['ticker']}"
        consensus = brief.consensus or {}
        vote = consensus.get("vote")
        sentences.append(f"{about}: the vote is {vote}." if vote else f"{about}: there is no consensus.")
        if consensus.get("dissent"):
            sentences.append(f"Dissent: {', '.join(consensus['dissent'])}.")
        if consensus.get("missing"):
            sentences.append(f"Not heard: {', '.join(consensus['missing'])}.")
    if weights:
        sentences.append("Weights: " + ", ".join(f"{ticker} {part:.0%}" for ticker, part in weights.items()) + ".")
    moved = {ticker: shares for ticker, shares in changes.items() if abs(shares) >= 0.5}
    sentences.append(
        "Changes in shares: " + ", ".join(f"{ticker} {shares:+.0f}" for ticker, shares in moved.items()) + "."
        if moved
        else "Nothing is to be moved."
    )
    return " ".join(part for part in sentences if part)
