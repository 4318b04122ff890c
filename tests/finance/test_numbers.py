"""The numbers against the same numbers come by in another way."""

from __future__ import annotations

import math
from statistics import NormalDist, mean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_endpoints.finance import allocation, measures
from agent_endpoints.finance.blackscholes import quote

SAMPLES = st.lists(st.floats(-0.6, 0.8), min_size=20, max_size=120)
POSITIVE = st.floats(5.0, 500.0)


def test_returns_and_drawdowns_of_a_series_done_by_hand() -> None:
    prices = np.array([100.0, 110.0, 99.0, 99.0, 121.0])
    assert measures.returns(prices) == pytest.approx([0.1, -0.1, 0.0, 22 / 99])
    assert measures.drawdowns(prices) == pytest.approx([0, 0, 0.1, 0.1, 0])
    assert measures.annual_return(np.array([100.0, *[50.0] * 23, 121.0]), 12) == pytest.approx(0.1)
    assert measures.volatility(np.array([0.1, -0.1, 0.0]), 12) == pytest.approx(stdev([0.1, -0.1, 0.0]) * math.sqrt(12))


@given(SAMPLES)
def test_value_at_risk_is_the_least_loss_that_one_in_twenty_at_most_passes(sample: list[float]) -> None:
    losses = sorted(-value for value in sample)
    least = next(loss for loss in losses if 20 * sum(other > loss for other in losses) <= len(losses))
    assert measures.value_at_risk(np.array(sample), 0.95) == max(0.0, least)
    tail = [loss for loss in losses if loss >= least]
    assert measures.shortfall(np.array(sample), 0.95) == pytest.approx(max(0.0, mean(tail)))


def test_correlation_and_beta_by_their_sums() -> None:
    one, other = [0.1, -0.2, 0.05, 0.3], [0.2, -0.1, 0.0, 0.1]
    a, b = [x - mean(one) for x in one], [x - mean(other) for x in other]
    products = sum(x * y for x, y in zip(a, b, strict=True))
    expected = products / math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    table = measures.correlation(np.array([one, other]).T)
    assert table == pytest.approx(np.array([[1.0, expected], [expected, 1.0]]))
    assert measures.beta(np.array(one), np.array(other)) == pytest.approx(products / sum(x * x for x in b))
    still = measures.correlation(np.array([one, [0.0] * 4]).T)
    assert still == pytest.approx(np.eye(2))


def test_trends() -> None:
    up = np.array([100.0 * 1.02**month for month in range(24)])
    assert (measures.trend(up), measures.trend(up[::-1]), measures.trend(np.full(24, 7.0))) == ("up", "down", "flat")
    assert measures.momentum(up) == pytest.approx(1.02**12 - 1)


def test_black_scholes_gives_the_textbook_value() -> None:
    """Hull, Options, Futures, and Other Derivatives, example 15.6."""
    call, put = (quote(kind, 42, 40, 0.5, 0.10, 0.20) for kind in ("call", "put"))
    assert (round(call.price, 2), round(put.price, 2)) == (4.76, 0.81)


@given(POSITIVE, POSITIVE, st.floats(0.05, 3.0), st.floats(-0.02, 0.15), st.floats(0.05, 1.0))
def test_put_call_parity_and_bounds(spot: float, strike: float, years: float, rate: float, volatility: float) -> None:
    call, put = (quote(kind, spot, strike, years, rate, volatility) for kind in ("call", "put"))
    discounted = strike * math.exp(-rate * years)
    assert call.price - put.price == pytest.approx(spot - discounted, abs=1e-7)
    assert max(0.0, spot - discounted) - 1e-7 <= call.price <= spot + 1e-7
    assert call.delta - put.delta == pytest.approx(1.0)
    assert call.gamma == put.gamma >= 0


def test_greeks_are_the_slopes_of_the_price() -> None:
    at = {"spot": 100.0, "strike": 105.0, "years": 0.5, "rate": 0.03, "volatility": 0.3}

    def slope(kind: str, name: str, step: float = 1e-4) -> float:
        higher, lower = ({**at, name: at[name] + way * step} for way in (1, -1))
        return (quote(kind, **higher).price - quote(kind, **lower).price) / (2 * step)  # type: ignore[arg-type]

    for kind in ("call", "put"):
        found = quote(kind, **at)  # type: ignore[arg-type]
        assert found.delta == pytest.approx(slope(kind, "spot"), rel=1e-5)
        assert found.vega == pytest.approx(slope(kind, "volatility"), rel=1e-5)
        assert found.theta == pytest.approx(-slope(kind, "years"), rel=1e-5)


def test_black_scholes_against_drawn_prices() -> None:
    """The mean of the discounted pay-offs, at the quantiles of the lognormal distribution that the formula assumes."""
    normal, count = NormalDist(), 20_000
    ends = [100 * math.exp((0.03 - 0.02) * 1.0 + 0.2 * normal.inv_cdf((i + 0.5) / count)) for i in range(count)]
    paid = math.exp(-0.03) * mean(max(0.0, end - 110) for end in ends)
    assert quote("call", 100, 110, 1.0, 0.03, 0.2).price == pytest.approx(paid, rel=1e-3)


@pytest.mark.parametrize("wrong", [(0, 1, 1, 0.1), (1, 0, 1, 0.1), (1, 1, 0, 0.1), (1, 1, 1, 0)])
def test_no_option_without_price_time_and_movement(wrong: tuple[float, float, float, float]) -> None:
    spot, strike, years, volatility = wrong
    with pytest.raises(ValueError, match="must be positive"):
        quote("put", spot, strike, years, 0.02, volatility)


def covariance(seed: int, count: int) -> np.ndarray:
    draws = np.random.default_rng(seed).normal(0, 0.08, (36, count))
    return np.cov(draws, rowvar=False) * 12


def test_without_binding_bounds_the_weights_are_those_of_the_closed_form() -> None:
    table, expected = covariance(1, 3), np.array([0.08, 0.09, 0.07])
    inverse, ones = np.linalg.inv(table), np.ones(3)
    shadow = (ones @ inverse @ expected / 4.0 - 1.0) / (ones @ inverse @ ones / 4.0)
    closed = inverse @ (expected - shadow * ones) / 4.0
    assert allocation.allocate(expected, table, [(-5.0, 5.0)] * 3) == pytest.approx(closed, abs=1e-5)


@given(st.integers(0, 10_000), st.integers(2, 5), st.data())
def test_weights_sum_to_one_keep_their_bounds_and_no_other_weights_are_better(
    seed: int, count: int, data: st.DataObject
) -> None:
    names = [f"S{number}" for number in range(count)]
    expected = np.random.default_rng(seed).normal(0.1, 0.2, count)
    table = covariance(seed, count)
    part = data.draw(st.floats(0, 1))
    special = data.draw(st.sampled_from([{}, {"S0": (part, part)}, {"S0": (0.0, part)}]))
    bounds = allocation.limits(names, special)
    weights = allocation.allocate(expected, table, bounds)
    assert weights.sum() == pytest.approx(1.0)
    for weight, (low, high) in zip(weights, bounds, strict=True):
        assert low - 1e-9 <= weight <= high + 1e-9
    if special:
        assert special["S0"][0] - 1e-9 <= weights[0] <= special["S0"][1] + 1e-9

    def worth(w: np.ndarray) -> float:
        return float(expected @ w - allocation.AVERSION / 2 * w @ table @ w)

    low, high = np.array(bounds).T
    for _ in range(20):
        mix = np.random.default_rng(seed).dirichlet(np.ones(count))
        if np.all(low <= mix) and np.all(mix <= high):
            assert worth(mix) <= worth(weights) + 1e-6


def test_bounds_that_nothing_meets_are_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        allocation.allocate(np.zeros(2), np.eye(2), [(0.0, 0.3), (0.0, 0.3)])
