"""A circuit breaker: while the model endpoint does not answer, ask nothing but one probe at a time."""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 5
COOL_DOWN_S = 1.0
COOL_DOWN_MAX_S = 30.0


class Breaker:
    """Told how each HTTP call went (`answered`, `failed`), and of each ask that begins; open after FAILURES in a row.

    `clock` gives seconds and never goes back. One thread may begin asks while another reports what comes of them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._probing = False
        self._cool_down = COOL_DOWN_S
        self._probe_at = 0.0
        self.failures = 0
        """Failed calls in a row."""

    @property
    def open(self) -> bool:
        """Whether the endpoint counts as down."""
        return self.failures >= FAILURES

    @property
    def wait_s(self) -> float | None:
        """Seconds until an ask may begin; None while a probe is under way, which will tell."""
        if not self.open:
            return 0.0
        return None if self._probing else max(0.0, self._probe_at - self._clock())

    def begin(self) -> bool:
        """An ask begins. True where it is a probe: `probed` must follow when that ask has ended."""
        probe = self.open and self.wait_s == 0.0
        self._probing = self._probing or probe
        return probe

    def probed(self) -> None:
        """The probe has ended. Where nothing has answered meanwhile, the next comes after twice the pause."""
        if self.open:
            self._pause()
        self._probing = False

    def answered(self) -> None:
        """A call was answered, by whatever the endpoint had to say."""
        self.failures = 0

    def failed(self) -> None:
        """A call found no connection, no answer in time, or an error of the server."""
        if self.failures + 1 == FAILURES:
            self._cool_down = COOL_DOWN_S
            self._pause()
        self.failures += 1

    def _pause(self) -> None:
        self._probe_at = self._clock() + self._cool_down
        self._cool_down = min(2 * self._cool_down, COOL_DOWN_MAX_S)
