"""What Flink's REST client and the health checks say of servers that answer, refuse, or are not there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from switchyard.flink.rest import Flink, FlinkError
from switchyard.local.health import Health
from switchyard.local.ports import free_port

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/overview": (200, json.dumps({"taskmanagers": 0, "slots-total": 0}).encode()),
    "/health": (503, json.dumps({"problem": "the store does not answer"}).encode()),
    "/broken": (500, b"no JSON"),
    "/jobs/1": (404, json.dumps({"errors": ["a\nCaused by: x.Y: it is gone"]}).encode()),
    "/jobs/2": (200, b"no JSON"),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = ANSWERS.get(self.path, (404, b""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_server_of_the_stack_is_asked_past_any_proxy_and_quoted(server: str) -> None:
    assert Health("flink", server).problem() is None
    assert Health("http", f"{server}/overview").problem() is None
    assert Health("taskmanager", server).problem() == "not registered with the JobManager"
    assert Health("http", f"{server}/health").problem() == "the store does not answer"
    assert Health("http", f"{server}/broken").problem() == f"{server}/broken answers 500"
    nobody = f"http://127.0.0.1:{free_port()}"
    assert Health("http", nobody).problem() == f"no answer at {nobody} (ConnectError)"
    assert "no answer at none" in str(Health("http", "none").problem())


def test_flinks_reason_is_told_and_a_flink_that_is_none_is_named(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HTTP_PROXY")
    flink = Flink(server.removeprefix("http://"))
    assert flink.overview()["taskmanagers"] == 0
    with pytest.raises(FlinkError, match=r"Flink answered 404 to /jobs/1: x\.Y: it is gone"):
        flink.state("1")
    with pytest.raises(FlinkError, match=f"no Flink answers at {server}; start the local stack"):
        flink.state("2")
    with pytest.raises(FlinkError, match="or say where Flink is with --flink http://HOST:PORT"):
        Flink(f"127.0.0.1:{free_port()}").overview()
