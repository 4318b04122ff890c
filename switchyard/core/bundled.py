"""The files that people edit, submit and deploy: `jobs udfs sql agent_endpoints deploy`.

They stand beside the package in a checkout, and inside it in a wheel. No package of another project can shadow them,
for they are found by their path.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_DATA = _PACKAGE / "_bundled"

INSTALLED = _DATA.is_dir()
"""Whether this is a wheel and no checkout."""

ROOT = _DATA if INSTALLED else _PACKAGE.parent
JOBS, UDFS, SQL, APPS, DEPLOY = (ROOT / name for name in ("jobs", "udfs", "sql", "agent_endpoints", "deploy"))


def shown(path: Path) -> str:
    """A path as messages name it: without the root where it is a bundled file."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
