"""The options strategist's numbers: what protecting a position costs, by Black-Scholes on realised volatility."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from switchyard import AgentError

from . import measures, prices
from .blackscholes import quote
from .briefs import Brief

RATE = 0.02
MONTHS = 3
PUT, CALL = 0.95, 1.05


def price(brief: Brief) -> dict[str, Any]:
    """The data of options.priced: for each ticker a put below, a call above, and both as a collar.

    Raises AgentError where there are no prices, or they never moved.
    """
    assets = [_asset(brief, ticker) for ticker in brief.tickers]
    return {
        "user": brief.user,
        "as_of": brief.as_of.isoformat(),
        "source": prices.source().name,
        "rate": RATE,
        "months": MONTHS,
        "assets": assets,
        "summary": " ".join(_sentence(asset) for asset in assets),
    }


def _asset(brief: Brief, ticker: str) -> dict[str, Any]:
    closes = prices.known_on([ticker], brief.as_of)[ticker].to_numpy()
    spot, realised = (
        float(closes[-1]),
        measures.volatility(measures.returns(closes[-(measures.MOMENTUM + 1) :]), prices.PERIODS_PER_YEAR),
    )
    if realised <= 0:
        raise AgentError(
            f"The price of {ticker} has not moved for a year: no option can be priced.", reason="no-volatility"
        )
    years = MONTHS / prices.PERIODS_PER_YEAR
    put = quote("put", spot, spot * PUT, years, RATE, realised)
    call = quote("call", spot, spot * CALL, years, RATE, realised)
    return {
        "ticker": ticker,
        "spot": spot,
        "volatility": realised,
        "quotes": [asdict(put), asdict(call)],
        "collar": put.price - call.price,
    }


def _sentence(asset: dict[str, Any]) -> str:
    put, call = asset["quotes"]
    return (
        f"{asset['ticker']} at {asset['spot']:.2f}, volatility {asset['volatility']:.1%}: a put at "
        f"{put['strike']:.2f} costs {put['price']:.2f}, a call at {call['strike']:.2f} brings {call['price']:.2f}, "
        f"for {MONTHS} months; both together cost {asset['collar']:.2f}."
    )
