"""`GET /health` of a worker, on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from switchyard.core import strictjson

LOOPBACK = "127.0.0.1"


class HealthServer:
    """Answers with what `report` says: 200, or 503 where `healthy` is false."""

    def __init__(self, port: int, report: Callable[[], dict[str, Any]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = report() if self.path == "/health" else None
                body = strictjson.dumps(status if status is not None else {"error": "there is only /health"}).encode()
                self.send_response(404 if status is None else 200 if status["healthy"] else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Asked every few seconds: nothing to log."""

        self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
