"""An app's own Python for Flink: found, loaded once it is needed, and fit to travel in a job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cloudpickle
import pytest

from switchyard.core.app import App
from switchyard.core.errors import AppError

AGENTS = """
app: desk
starts: [request.received]
complete: When it is answered.
router: routing.choices:route
agents:
  - {name: reply, description: Replies, accepts: [request.received], emits: [reply.written]}
"""
CONTRACT = '{"type": "record", "name": "X", "fields": [{"name": "text", "type": "string"}]}'
GOOD = "from switchyard import Verdict\nfrom .words import WORD\n\n\ndef route(event, context):\n    return WORD\n"

Write = Callable[[str], App]


@pytest.fixture
def desk(tmp_path: Path) -> Write:
    """The app, its router's module with this text."""
    folder = tmp_path / "desk"
    for name in ("contracts", "routing"):
        (folder / name).mkdir(parents=True)
    for kind in ("request.received", "reply.written"):
        (folder / "contracts" / f"{kind}.avsc").write_text(CONTRACT)
    (folder / "agents.yaml").write_text(AGENTS)
    (folder / "routing" / "words.py").write_text("WORD = 'found'\n")

    def write(text: str) -> App:
        (folder / "routing" / "choices.py").write_text(text)
        return App.load(str(folder))

    return write


def test_what_travels_is_used_where_the_folder_is_not(desk: Write) -> None:
    app = desk(GOOD)
    text = cloudpickle.dumps(app.extensions.shipped())
    for path in sorted(app.folder.rglob("*.py")):
        path.unlink()
    assert cloudpickle.loads(text).router(None, None) == "found"


def test_nothing_of_it_is_loaded_before_it_is_needed(desk: Write) -> None:
    app = desk("raise SystemError('loaded')\n")
    with pytest.raises(AppError, match="it cannot be imported: SystemError: loaded") as refused:
        app.extensions.shipped()
    assert refused.value.problems[0].file == "routing/choices.py"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("def route", "def root"), "routing/choices.py has no function 'route'"),
        ("def route(event, context):\n    from . import words\n    return words.WORD\n", "a function imports from the"),
        (
            "import threading\n\nLOCK = threading.Lock()\n\n\ndef route(event, context):\n    return LOCK\n",
            "cannot travel in the job",
        ),
    ],
)
def test_what_could_not_be_used_there_is_refused(desk: Write, text: str, words: str) -> None:
    with pytest.raises(AppError, match=words):
        desk(text).extensions.shipped()


def test_nor_may_a_module_that_it_imports(desk: Write) -> None:
    app = desk("from . import prices\n\n\ndef route(event, context):\n    return prices.choose()\n")
    prices = app.folder / "routing" / "prices.py"
    prices.write_text("def choose():\n    from . import words\n    return words.WORD\n")
    with pytest.raises(AppError) as refused:
        app.extensions.shipped()
    assert [(item.file, item.line) for item in refused.value.problems] == [("routing/prices.py", 2)]
