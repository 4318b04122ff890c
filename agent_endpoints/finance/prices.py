"""Where prices come from: a source is one method; the bundled one holds real monthly closes from 2000 to 2010."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from vega_datasets import data as datasets

from switchyard import AgentError

PERIODS_PER_YEAR = 12
LOOKBACK = 36
FEWEST = 13
STALE_DAYS = 62


class PriceSource(Protocol):
    """Closing prices at the end of each month, in one currency, adjusted for splits and dividends."""

    @property
    def name(self) -> str:
        """What an answer names as the origin of its numbers."""
        ...

    @property
    def tickers(self) -> tuple[str, ...]:
        """All that it knows."""
        ...

    def closes(self, tickers: Sequence[str], as_of: date) -> pd.DataFrame:
        """A column for each ticker, a row for each month whose close was known on `as_of`, oldest first.

        NaN where a ticker had no price yet. Raises KeyError for a ticker that is not known.
        """
        ...


class Bundled:
    """The stocks of vega_datasets: MSFT, AMZN, IBM, GOOG and AAPL.

    Its rows carry the first day of a month and hold the close of the last: GOOG, first traded on 19 August 2004, has a
    row "1 August 2004" with the close of the 31st. So each price counts as known from the month's last day on.
    """

    name = "vega_datasets stocks, monthly closes"

    def __init__(self) -> None:
        rows = datasets.stocks()
        table = rows.pivot_table(index="date", columns="symbol", values="price").sort_index()
        table.index = table.index + pd.offsets.MonthEnd(0)
        self._table = table

    @property
    def tickers(self) -> tuple[str, ...]:
        return tuple(self._table.columns)

    def closes(self, tickers: Sequence[str], as_of: date) -> pd.DataFrame:
        return self._table.loc[: pd.Timestamp(as_of), list(tickers)]


@cache
def source() -> PriceSource:
    """The source of this app, loaded once. A live one takes its place here."""
    return Bundled()


def known_on(tickers: Sequence[str], as_of: date) -> pd.DataFrame:
    """The last closes known on `as_of` that all of `tickers` have: FEWEST to LOOKBACK + 1 rows, no NaN.

    Raises AgentError with what is missing.
    """
    origin = source()
    unknown = [ticker for ticker in tickers if ticker not in origin.tickers]
    if unknown:
        missing, there = ", ".join(unknown), ", ".join(origin.tickers)
        raise AgentError(f"There are no prices of {missing}; there are those of {there}.", reason="no-prices")
    table = origin.closes(tickers, as_of)
    if table.empty or bool(table.iloc[-1].isna().any()):
        none = [ticker for ticker in tickers if table.empty or bool(np.isnan(table[ticker].iloc[-1]))]
        raise AgentError(f"No price of {', '.join(none)} was known on {as_of.isoformat()}.", reason="no-prices")
    last = table.index[-1].date()
    if (as_of - last).days > STALE_DAYS:
        raise AgentError(
            f"The last prices are of {last.isoformat()}, too old for {as_of.isoformat()}.", reason="stale-prices"
        )
    table = table.dropna().iloc[-(LOOKBACK + 1) :]
    if len(table) < FEWEST:
        raise AgentError(
            f"By {as_of.isoformat()} there are {len(table)} months of prices; {FEWEST} are needed.", reason="no-prices"
        )
    return table


def market(as_of: date, months: int) -> NDArray[np.float64]:
    """Returns of the average of all tickers that had prices, for the last `months` before `as_of`."""
    origin = source()
    table = origin.closes(origin.tickers, as_of)
    returns = table.pct_change(fill_method=None).mean(axis=1).to_numpy()
    return np.asarray(returns[-months:], dtype=np.float64)
