"""Real prices, and nothing of the future."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_endpoints.finance import analysis, derivatives, prices, rebalancing, research, risk
from agent_endpoints.finance.briefs import Brief
from switchyard import AgentError
from tests.finance.support import TRADE


class Changed(prices.Bundled):
    """The same prices up to a day, others after it. Also: what a source of one's own looks like."""

    def __init__(self, day: date) -> None:
        super().__init__()
        self._table = self._table.copy()
        self._table.loc[self._table.index > pd.Timestamp(day)] *= 17.0


@pytest.mark.parametrize(
    "compute", [analysis.analyse, risk.assess, rebalancing.suggest, research.study, derivatives.price]
)
def test_what_comes_after_as_of_changes_nothing(compute: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(compute)
    for as_of in ("2008-09-30", "2008-10-15", "2006-01-01"):
        brief = Brief.of({**TRADE, "as_of": as_of})
        before = compute(brief)
        changed = Changed(brief.as_of)
        with monkeypatch.context() as patch:
            patch.setattr(prices, "source", lambda changed=changed: changed)
            assert compute(brief) == before
            assert compute(Brief.of({**TRADE, "as_of": "2009-06-30"})) != before


@given(st.dates(date(2000, 1, 1), date(2010, 12, 31)))
def test_no_close_is_known_before_its_month_is_over(as_of: date) -> None:
    table = prices.source().closes(["IBM"], as_of)
    assert all(day.date() <= as_of and (day + timedelta(days=1)).day == 1 for day in table.index)


def test_google_has_no_price_before_the_end_of_its_first_month() -> None:
    with pytest.raises(AgentError, match="No price of GOOG was known on 2004-08-30"):
        prices.known_on(["IBM", "GOOG"], date(2004, 8, 30))
    first = prices.source().closes(["GOOG"], date(2004, 8, 31)).dropna()
    assert first["GOOG"].tolist() == [102.37]


def test_too_little_is_told() -> None:
    with pytest.raises(AgentError, match="there are 5 months of prices; 13 are needed"):
        prices.known_on(["GOOG"], date(2004, 12, 31))
    with pytest.raises(AgentError, match="There are no prices of TSLA; there are those of AAPL, AMZN, GOOG, IBM, MSFT"):
        prices.known_on(["TSLA", "IBM"], date(2008, 9, 30))
    with pytest.raises(AgentError, match="of 2010-03-31, too old for 2015-01-01"):
        prices.known_on(["IBM"], date(2015, 1, 1))


def test_september_2008_as_it_was() -> None:
    table = prices.known_on(["AAPL"], date(2008, 9, 30))
    assert len(table) == prices.LOOKBACK + 1
    assert table["AAPL"].iloc[-1] / table["AAPL"].iloc[-2] - 1 == pytest.approx(113.66 / 169.53 - 1)


def test_the_market_is_the_average_of_what_was_listed() -> None:
    closes = prices.source().closes(prices.source().tickers, date(2003, 12, 31)).drop(columns="GOOG").to_numpy()
    expected = (closes[1:] / closes[:-1] - 1).mean(axis=1)[-5:]
    assert prices.market(date(2003, 12, 31), 5) == pytest.approx(np.asarray(expected))
