"""Weights of a portfolio: mean and variance under constraints (Markowitz), solved by scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
Limits = Sequence[tuple[float, float]]

AVERSION = 4.0
MOST = 0.4


def allocate(mean: Array, covariance: Array, bounds: Limits, aversion: float = AVERSION) -> Array:
    """The weights that sum to 1, keep their bounds, and are best in mean · w - aversion / 2 · w' covariance w.

    `mean` (assets) and `covariance` (assets by assets) are those of a year's returns.
    Raises ValueError where no weights keep the bounds, ArithmeticError where none are found.
    """
    low, high = np.array([b[0] for b in bounds]), np.array([b[1] for b in bounds])
    if np.any(low > high) or low.sum() > 1.0 + 1e-9 or high.sum() < 1.0 - 1e-9:
        raise ValueError(f"no weights between {low.tolist()} and {high.tolist()} sum to 1")
    room = high.sum() - low.sum()
    start = low + (high - low) * ((1.0 - low.sum()) / room if room > 0 else 0.0)
    solution = minimize(
        lambda w: aversion / 2.0 * w @ covariance @ w - mean @ w,
        start,
        jac=lambda w: aversion * covariance @ w - mean,
        bounds=list(bounds),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones_like(w)},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 200},
    )
    if not solution.success:
        raise ArithmeticError(f"no weights found: {solution.message}")
    weights: Array = np.clip(solution.x, low, high)
    return weights


def most(count: int) -> float:
    """The largest weight that one of `count` tickers may have: MOST, or more where few share the whole."""
    return min(1.0, max(MOST, 1.5 / count))


def limits(tickers: Sequence[str], special: Mapping[str, tuple[float, float]]) -> Limits:
    """Bounds for `tickers` (at least one): from 0 to `most`, and those of `special`.

    Where the special ones leave too little room, the others may have more: some weights always keep them.
    """
    free = [ticker for ticker in tickers if ticker not in special]
    low = {ticker: min(special[ticker][0], 1.0) if ticker in special else 0.0 for ticker in tickers}
    high = {ticker: min(special[ticker][1], 1.0) if ticker in special else most(len(tickers)) for ticker in tickers}
    missing = 1.0 - sum(high.values())
    if missing > 0:
        for ticker in free or tickers:
            high[ticker] += missing / len(free or tickers)
    return [(low[ticker], high[ticker]) for ticker in tickers]
