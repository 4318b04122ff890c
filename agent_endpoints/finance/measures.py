"""What prices say about risk and return. Arrays run from the oldest to the newest; a loss is a positive number."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Trend = Literal["up", "down", "flat"]

MOMENTUM = 12
AVERAGE = 10


def returns(prices: Array) -> Array:
    """Simple returns of each period: one row fewer than `prices` (periods, or periods by assets)."""
    return prices[1:] / prices[:-1] - 1.0


def annual_return(prices: Array, per_year: int) -> float:
    """The steady yearly growth that leads from the first price to the last."""
    return float((prices[-1] / prices[0]) ** (per_year / (len(prices) - 1)) - 1.0)


def volatility(period_returns: Array, per_year: int) -> float:
    """Sample standard deviation of the returns, for a year."""
    return float(np.std(period_returns, ddof=1) * np.sqrt(per_year))


def drawdowns(prices: Array) -> Array:
    """At each period, the loss since the highest price so far, as a share of that price."""
    fallen: Array = 1.0 - prices / np.maximum.accumulate(prices)
    return fallen


def value_at_risk(period_returns: Array, level: float = 0.95) -> float:
    """The least loss that a share `level` of the sample does not pass; 0 where that is a gain."""
    return max(0.0, -_cut(period_returns, level))


def shortfall(period_returns: Array, level: float = 0.95) -> float:
    """The mean loss of the periods that lose as much as the value at risk, or more."""
    return max(0.0, -float(np.mean(period_returns[period_returns <= _cut(period_returns, level)])))


def _cut(period_returns: Array, level: float) -> float:
    beyond = int(len(period_returns) * (1.0 - level) + 1e-9)
    return float(np.sort(period_returns)[beyond])


def correlation(period_returns: Array) -> Array:
    """Pearson's coefficients of the columns (assets by assets); 0 between a column that never moves and the others."""
    with np.errstate(invalid="ignore", divide="ignore"):
        table = np.nan_to_num(np.atleast_2d(np.corrcoef(period_returns, rowvar=False)))
    np.fill_diagonal(table, 1.0)
    clipped: Array = np.clip(table, -1.0, 1.0)
    return clipped


def beta(period_returns: Array, market_returns: Array) -> float:
    """How much an asset moves with the market: covariance over the market's variance; 0 where that is 0."""
    table = np.cov(period_returns, market_returns, ddof=1)
    return float(table[0, 1] / table[1, 1]) if table[1, 1] > 0 else 0.0


def momentum(prices: Array) -> float:
    """The return over the last MOMENTUM periods, or over all where there are fewer."""
    return float(prices[-1] / prices[max(0, len(prices) - 1 - MOMENTUM)] - 1.0)


def trend(prices: Array) -> Trend:
    """Up where the last price is above its average and momentum is positive, down where both are below, else flat."""
    above = float(prices[-1]) - float(np.mean(prices[-AVERAGE:]))
    moved = momentum(prices)
    if above > 0 and moved > 0:
        return "up"
    return "down" if above < 0 and moved < 0 else "flat"
