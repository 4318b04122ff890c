"""May this process talk to that model, and with which key."""

import ipaddress
from urllib.parse import urlsplit

from pydantic import SecretStr

from switchyard.core.errors import SettingsError

REMOTE_SWITCH = "SWITCHYARD_ALLOW_REMOTE_MODEL"
_NO_KEY_NEEDED = "offline"

ALLOW_REMOTE = True
"""False, as `switchyard.testing` sets it, refuses any model that is not on this machine, whatever a caller allows."""


class MissingKey(SettingsError):
    """OPENAI_API_KEY is not set, or cannot be a key."""


class RemoteModelRefused(SettingsError):
    """The switch SWITCHYARD_ALLOW_REMOTE_MODEL=0 forbids this address."""


def api_key(secret: SecretStr | None, base_url: str, *, embedded: bool = False) -> str:
    """The key for `base_url`, `secret` being OPENAI_API_KEY. The embedded model server needs none.

    Raises MissingKey with a sentence that says where to set it.
    """
    if embedded:
        return _NO_KEY_NEEDED
    key = secret.get_secret_value().strip() if secret is not None else ""
    if not key:
        raise MissingKey(
            f"No key for the model at {endpoint(base_url)}: set OPENAI_API_KEY in the environment of the "
            "Flink TaskManagers and of the agent workers; each process reads its own environment, the key "
            "never travels with the job. A server that needs no key takes any value."
        )
    if not sendable(key):
        raise MissingKey("OPENAI_API_KEY holds characters that an HTTP header cannot carry: set it again.")
    return key


def sendable(key: str) -> bool:
    """Whether an HTTP header can carry `key`."""
    return key.isascii() and key.isprintable() and " " not in key


def is_loopback(base_url: str) -> bool:
    """Whether `base_url` names this machine."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_reachable(base_url: str, *, allow_remote: bool) -> None:
    """Raise RemoteModelRefused for an address outside this machine where none is allowed."""
    if not (allow_remote and ALLOW_REMOTE) and not is_loopback(base_url):
        raise RemoteModelRefused(
            f"The model at {endpoint(base_url)} is not on this machine; {REMOTE_SWITCH}=0 allows no other."
        )


def endpoint(base_url: str) -> str:
    """`base_url` without anything secret that it may carry."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"
