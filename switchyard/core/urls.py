"""What an address must not hold."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

_SECRET = re.compile(r"pass|pwd|secret|token|^(api[-_]?)?key$", re.IGNORECASE)
"""In the name of a parameter that is one."""


def holds_login(url: str) -> bool:
    """Whether an http address, or `host:port`, has a user or a password in it, or a secret among its parameters."""
    address = url.partition("://")[2] or url
    return "@" in re.split(r"[/?#]", address)[0] or _secret_parameter(url)


def holds_password(url: str) -> bool:
    """Whether the address of a database has a password in it; a user's name may stand there."""
    scheme, _, address = url.partition("://")
    login = "" if scheme.startswith("sqlite") else address.partition("?")[0].rpartition("@")[0]
    return ":" in login or _secret_parameter(url)


def _secret_parameter(url: str) -> bool:
    return any(_SECRET.search(name) for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True))
