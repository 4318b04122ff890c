"""SDR's own settings, and the service that knows companies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from pydantic import ValidationError

from agent_endpoints.sdr import demo, research
from agent_endpoints.sdr import settings as sdr
from switchyard.cli.summary import demo_environment
from tests.agents.support import SDR

COMPANIES: dict[str, Any] = {
    "Halden & Söhne": {"industry": "freight", "employees": 9, "facts": ["It ships."]},
    "Odd": {"industry": None, "employees": "many", "facts": "none"},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that a research service on loopback is asked for."""
    paths: list[str] = []

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            company = parse_qs(urlsplit(self.path).query)["company"][0]
            body = b"x" * (research.LARGEST_ANSWER + 1) if company == "Huge" else json.dumps(COMPANIES.get(company))
            self.send_response(500 if company == "Broken" else 404 if body == "null" else 200)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/companies?key=k"
    monkeypatch.setattr(sdr, "SETTINGS", sdr.Settings(research_url=url))  # type: ignore[arg-type]
    yield paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_research_service_is_asked(asked: list[str]) -> None:
    assert research.lookup("Halden & Söhne") == {"source": "127.0.0.1", **COMPANIES["Halden & Söhne"]}
    assert parse_qs(urlsplit(asked[0]).query) == {"key": ["k"], "company": ["Halden & Söhne"]}
    nothing = {"source": "127.0.0.1", "industry": "", "employees": None, "facts": []}
    assert research.lookup("Unknown") == nothing
    assert research.lookup("Odd") == nothing


def test_a_research_service_that_fails_is_an_error(asked: list[str]) -> None:
    with pytest.raises(httpx2.HTTPStatusError):
        research.lookup("Broken")
    with pytest.raises(ValueError, match="more than 1048576 bytes"):
        research.lookup("Huge")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SDR_DAY_SECONDS", "0"),
        ("SDR_SMTP", "mail.example:25"),
        ("SDR_DAY_SECOND", "1"),
        ("SDR_RESEARCH_URL", "file:///etc"),
        ("SDR_RESEARCH_URL", "https://me:secret@companies.example"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=f"(?i){name.removeprefix('SDR_')}") as raised:
        sdr.Settings()
    assert "secret" not in str(raised.value)


def test_a_demo_shortens_the_days(monkeypatch: pytest.MonkeyPatch) -> None:
    assert demo_environment(SDR) == demo.ENVIRONMENT
    monkeypatch.setenv("SDR_DAY_SECONDS", demo.ENVIRONMENT["SDR_DAY_SECONDS"])
    assert sdr.Settings().day_seconds == 1.0
