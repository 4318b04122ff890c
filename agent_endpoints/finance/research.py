"""The research agent's facts: the long view of each ticker, against the market."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import measures, prices
from .briefs import Brief


def study(brief: Brief) -> dict[str, Any]:
    """`studies` and `findings` of the research contracts. Raises AgentError where there are no prices."""
    studied = [_ticker(brief, ticker) for ticker in brief.tickers]
    return {"studies": [one for one, _ in studied], "findings": [text for _, texts in studied for text in texts]}


def _ticker(brief: Brief, ticker: str) -> tuple[dict[str, Any], list[str]]:
    table = prices.known_on([ticker], brief.as_of)
    closes = table[ticker].to_numpy()
    moves = measures.returns(closes)
    market = prices.market(brief.as_of, len(moves))
    beta = measures.beta(moves, market)
    worst, best = int(np.argmin(moves)), int(np.argmax(moves))
    numbers = {
        "ticker": ticker,
        "months": len(moves),
        "beta": beta,
        "expected_return": beta * float(market.mean()) * prices.PERIODS_PER_YEAR,
        "annual_return": measures.annual_return(closes, prices.PERIODS_PER_YEAR),
        "largest_drawdown": float(measures.drawdowns(closes).max()),
    }
    dates = [day.date().isoformat()[:7] for day in table.index[1:]]
    texts = [
        f"Over {len(moves)} months {ticker} returned {numbers['annual_return']:.1%} a year; at worst it was "
        f"{numbers['largest_drawdown']:.1%} below its high.",
        f"Its best month was {dates[best]} ({moves[best]:+.1%}), its worst {dates[worst]} ({moves[worst]:+.1%}).",
        f"It moves {beta:.2f} times with the average of {', '.join(prices.source().tickers)}.",
    ]
    return numbers, texts
