"""Writes keyed state back without waiting for one write before the next is sent.

When a bundle ends, PyFlink sends one request for each map of each key that has changed, and waits for each answer in
turn. Here all are sent, then all are waited for; the bundle still ends after the last. Requests go down one stream,
which is worked off in order, so that a read sees the writes before it. Importing this module applies it. Without
it everything works as well, only slower; see benchmarks/README.md.
"""

from __future__ import annotations

import threading
from typing import Any

from pyflink.fn_execution.state_impl import CachingMapStateHandler, RemoteKeyedStateBackend
from pyflink.version import __version__

KNOWN = ("2.3.0",)
"""The versions whose insides are as expected here."""

_extend = CachingMapStateHandler.extend
_commit = RemoteKeyedStateBackend.commit


class _Bundle(threading.local):
    """The writes that were sent by this thread and not yet waited for."""

    def __init__(self) -> None:
        self.sent: list[Any] = []


_bundle = _Bundle()


class _Sent:
    """What the caller waits for instead of the answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get(self) -> None:
        _bundle.sent.append(self._answer)


def _send(self: Any, *arguments: Any) -> _Sent:
    return _Sent(_extend(self, *arguments))


def _commit_all(self: Any) -> None:
    _commit(self)
    sent, _bundle.sent = _bundle.sent, []
    for answer in sent:
        response = answer.get()
        if response.error:
            raise RuntimeError(response.error)


def apply() -> None:
    if __version__ in KNOWN:
        CachingMapStateHandler.extend = _send
        RemoteKeyedStateBackend.commit = _commit_all


apply()
