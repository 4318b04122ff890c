"""What the server was asked: one record per call, and counts of the answered ones by purpose."""

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

ROUTING = "routing"
_LOGGED = 20_000
_LOGGED_TEXT = 2_000


@dataclass(frozen=True)
class CallRecord:
    """`started` is in seconds since the epoch; `user` is the beginning of the first user message."""

    started: float
    latency_ms: float
    purpose: str
    namespace: str
    status: int
    user: str


class Calls:
    """Counts are exact since the start; the log keeps the latest calls. Any thread may read while the server adds."""

    def __init__(self) -> None:
        self._answered: Counter[tuple[str, str]] = Counter()
        self._failed: Counter[str] = Counter()
        self._log: deque[CallRecord] = deque(maxlen=_LOGGED)

    def add(self, record: CallRecord) -> None:
        """Count a call: as answered with status 200, else as failed."""
        if record.status == 200:
            self._answered[(record.namespace, record.purpose)] += 1
        else:
            self._failed[record.namespace] += 1
        self._log.append(record)

    @property
    def total(self) -> int:
        """All calls that had an answer, of whatever kind."""
        return self._answered.total() + self._failed.total()

    def by_purpose(self) -> dict[str, int]:
        """Answered calls by purpose, and `failed`."""
        counts: Counter[str] = Counter({ROUTING: 0})
        for (_, purpose), count in list(self._answered.items()):
            counts[purpose] += count
        return {**counts, "failed": self._failed.total()}

    def of_namespace(self, namespace: str) -> dict[str, int]:
        """Answered calls of one namespace: `routing`, `agents`; and `failed`."""
        mine = {purpose: n for (where, purpose), n in list(self._answered.items()) if where == namespace}
        agents = sum(n for purpose, n in mine.items() if purpose.startswith("agent/"))
        return {"routing": mine.get(ROUTING, 0), "agents": agents, "failed": self._failed[namespace]}

    def log(self, with_messages: bool = False) -> list[dict[str, Any]]:
        """The latest calls, oldest first; what was asked only on request."""
        rows = [asdict(record) for record in list(self._log)]
        if not with_messages:
            for row in rows:
                del row["user"]
        return rows


def beginning(text: str) -> str:
    """As much of a message as the log keeps."""
    return text[:_LOGGED_TEXT]
