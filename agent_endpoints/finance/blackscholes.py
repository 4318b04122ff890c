"""European options after Black, Scholes and Merton."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, pi, sqrt
from typing import Literal

from scipy.special import ndtr

Kind = Literal["call", "put"]


@dataclass(frozen=True)
class Quote:
    """One option. `delta` per unit of the spot, `vega` per 1.00 of volatility, `theta` per year."""

    kind: Kind
    strike: float
    price: float
    delta: float
    gamma: float
    vega: float
    theta: float


def quote(kind: Kind, spot: float, strike: float, years: float, rate: float, volatility: float) -> Quote:
    """The fair price and its sensitivities. `rate` is continuously compounded, `volatility` that of a year.

    Raises ValueError where spot, strike, years or volatility is not positive.
    """
    if min(spot, strike, years, volatility) <= 0:
        raise ValueError("spot, strike, years and volatility must be positive")
    spread = volatility * sqrt(years)
    d1 = (log(spot / strike) + (rate + volatility**2 / 2) * years) / spread
    d2 = d1 - spread
    density = exp(-(d1**2) / 2) / sqrt(2 * pi)
    discounted = strike * exp(-rate * years)
    sign = 1.0 if kind == "call" else -1.0
    reach, exercise = float(ndtr(sign * d1)), float(ndtr(sign * d2))
    return Quote(
        kind=kind,
        strike=strike,
        price=sign * (spot * reach - discounted * exercise),
        delta=sign * reach,
        gamma=density / (spot * spread),
        vega=spot * density * sqrt(years),
        theta=-spot * density * volatility / (2 * sqrt(years)) - sign * rate * discounted * exercise,
    )
