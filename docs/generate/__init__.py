"""The pages of docs/reference, written from the code that they are about: `make docs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from docs.generate import agents_yaml, commands, environment, public_api

REFERENCE = Path(__file__).resolve().parents[1] / "reference"


def pages() -> Mapping[str, str]:
    """File name → text of each page, as the code says it now."""
    return {
        "agents-yaml.md": agents_yaml.page(),
        "cli.md": commands.page(),
        "environment.md": environment.page(),
        "public-api.md": public_api.page(),
    }
