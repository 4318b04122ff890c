"""Logging in to Kafka once, only to learn what the broker says to it.

kafka-python drops the broker's refusal and tries again until its time is up; so this asks first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import struct

_HANDSHAKE, _AUTHENTICATE = 17, 36
_UNSUPPORTED_MECHANISM, _ILLEGAL_STATE, _AUTHENTICATION_FAILED = 33, 34, 58
_LONGEST_ANSWER = 1 << 16


class LoginRefused(Exception):
    """What the broker has against this login, to be continued after "Kafka at HOST:PORT"."""


def log_in(connection: socket.socket, mechanism: str, username: str, password: str) -> None:
    """Raises LoginRefused where the broker says no; OSError where what it says is none of its answers."""
    code, answer = _ask(connection, _HANDSHAKE, 1, _string(mechanism))
    if code == _UNSUPPORTED_MECHANISM:
        raise LoginRefused(
            f"does not take {mechanism} but {', '.join(_strings(answer))}: check SWITCHYARD_KAFKA_MECHANISM"
        )
    if code == _ILLEGAL_STATE:
        raise LoginRefused("asks nobody for a password there: check SWITCHYARD_KAFKA_SECURITY")
    if mechanism == "PLAIN":
        _authenticate(connection, username, f"\0{username}\0{password}".encode())
        return
    scram = _Scram(mechanism, username, password)
    _authenticate(connection, username, scram.last(_authenticate(connection, username, scram.first)))


class _Scram:
    """The client's two messages of RFC 5802."""

    def __init__(self, mechanism: str, username: str, password: str) -> None:
        self._hash = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        self._password = password.encode()
        name = username.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={secrets.token_hex(16)}".encode()

    @property
    def first(self) -> bytes:
        return b"n,," + self._bare

    def last(self, challenge: bytes) -> bytes:
        fields = dict(item.split(b"=", 1) for item in challenge.split(b",") if b"=" in item)
        if not {b"r", b"s", b"i"} <= set(fields) or not fields[b"i"].isdigit():
            raise OSError("a broken challenge")
        salt, iterations = base64.b64decode(fields[b"s"]), int(fields[b"i"])
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", self._hash)
        last = b"c=biws,r=" + fields[b"r"]
        signature = hmac.digest(
            hashlib.new(self._hash, client_key).digest(), b",".join((self._bare, challenge, last)), self._hash
        )
        proof = bytes(one ^ other for one, other in zip(client_key, signature, strict=True))
        return last + b",p=" + base64.b64encode(proof)


def _authenticate(connection: socket.socket, username: str, message: bytes) -> bytes:
    code, answer = _ask(connection, _AUTHENTICATE, 0, struct.pack(">i", len(message)) + message)
    if code == _AUTHENTICATION_FAILED:
        raise LoginRefused(
            f"refused user {username}: check SWITCHYARD_KAFKA_USERNAME and SWITCHYARD_KAFKA_PASSWORD",
        )
    try:
        (length,) = struct.unpack_from(">h", answer)
        return answer[2 + max(length, 0) + 4 :]
    except struct.error:
        raise OSError("a broken answer") from None


def _ask(connection: socket.socket, api: int, version: int, body: bytes) -> tuple[int, bytes]:
    """One request of Kafka's protocol; the answer's error code, and what follows it."""
    request = struct.pack(">hhi", api, version, 0) + _string("switchyard") + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", _read(connection, 4))
    if not 6 <= length <= _LONGEST_ANSWER:
        raise OSError("no answer of Kafka's")
    answer = _read(connection, length)
    (code,) = struct.unpack_from(">h", answer, 4)
    return code, answer[6:]


def _read(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise OSError("the connection was closed")
        received += piece
    return received


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def _strings(raw: bytes) -> list[str]:
    """An array of strings, as far as it can be read."""
    texts, position = [], 4
    while position + 2 <= len(raw):
        (length,) = struct.unpack_from(">h", raw, position)
        texts.append(raw[position + 2 : position + 2 + length].decode(errors="replace"))
        position += 2 + length
    return texts
