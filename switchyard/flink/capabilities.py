"""The key of this TaskManager under which dispatches carry capabilities."""

from __future__ import annotations

from switchyard.core.capability import Capabilities
from switchyard.environment import read_own_access


def capabilities() -> Capabilities:
    """By this process's own environment, for the key never travels with a job."""
    key = read_own_access().dispatch_key
    return Capabilities(None if key is None else key.get_secret_value())
