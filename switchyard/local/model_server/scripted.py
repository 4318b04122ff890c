"""A model server inside a test: in a thread, on a free loopback port, with a record of its calls."""

import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from switchyard.local.model_server.app import create_app
from switchyard.local.model_server.behaviour import OFFLINE, Action, Behaviour, Call, in_turn
from switchyard.local.model_server.calls import Calls
from switchyard.local.model_server.templates import Templates

_START_S = 10.0


class ScriptedServer:
    """Real HTTP, scripted answers.

    `behaviour` is a function of the call, or a list of actions taken in turn; afterwards, and by default, the
    offline model answers. `calls` holds every call in the order of arrival, `counts` what /calls reports.
    """

    def __init__(self, behaviour: Behaviour | Iterable[Action] | None = None, *, apps_file: Path | None = None) -> None:
        self.calls: list[Call] = []
        self.counts = Calls()
        self.script(behaviour or [])
        app = create_app(Templates(apps_file), self.counts, self._recorded)
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        # asyncio switches delays off (TCP_NODELAY) only where the protocol is named.
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        give_up = time.monotonic() + _START_S
        while not self._server.started:
            if time.monotonic() > give_up or not self._thread.is_alive():
                raise RuntimeError("The scripted model server did not start.")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(_START_S)
        self._socket.close()

    def script(self, behaviour: Behaviour | Iterable[Action]) -> None:
        """Answer as this says from now on."""
        self._behave: Behaviour = behaviour if callable(behaviour) else in_turn(behaviour)

    def _recorded(self, call: Call) -> Action:
        self.calls.append(call)
        return self._behave(call) or OFFLINE
