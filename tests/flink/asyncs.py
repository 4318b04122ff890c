"""An async function of two arguments that waits before it reads them, as a call to a model does."""

from __future__ import annotations

import asyncio
from typing import Any

from pyflink.table import DataTypes
from pyflink.table.udf import AsyncScalarFunction, udf

import switchyard.flink.flink_39532  # noqa: F401


class Pair(AsyncScalarFunction):  # type: ignore[misc]
    async def eval(self, left: int, right: int) -> str:
        await asyncio.sleep(0.001)
        return f"{left} {right}"


pair: Any = udf(Pair(), result_type=DataTypes.STRING())
