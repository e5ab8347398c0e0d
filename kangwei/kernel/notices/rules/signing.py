"""Signatures that message services ask for (签名).

DingTalk and Feishu each have one fixed recipe. SMS and voice services have many, so theirs is
data: a list of steps, each a digest over a filled text, whose result the next step, the headers,
the address or the body may use by its name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from kangwei.kernel.notices.rules.texts import fill

Algorithm = Literal["hmac-sha256", "hmac-sha1", "hmac-sm3", "sha256", "sm3", "md5"]
Encoding = Literal["hex", "base64"]
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)
ENCODINGS: tuple[str, ...] = get_args(Encoding)


def dingtalk_signature(secret: str, timestamp_ms: int) -> str:
    """Base64 of HMAC-SHA256 over "timestamp\\nsecret", keyed by the secret."""
    message = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), message, "sha256")).decode()


def dingtalk_query(secret: str, timestamp_ms: int) -> str:
    """The signed part of the address, percent-encoded exactly once.

    A second encoding (by an HTTP library that is handed the encoded value) is the commonest
    cause of errcode 310000, so the whole address is built here as text.
    """
    signature = quote(dingtalk_signature(secret, timestamp_ms), safe="")
    return f"timestamp={timestamp_ms}&sign={signature}"


def feishu_signature(secret: str, timestamp: int) -> str:
    """Feishu puts "timestamp\\nsecret" into the key and signs the empty message."""
    key = f"{timestamp}\n{secret}".encode()
    return base64.b64encode(hmac.digest(key, b"", "sha256")).decode()


def webhook_signature(secret: str, timestamp: int, body: bytes) -> str:
    """Ours, for outgoing webhooks: hex HMAC-SHA256 over "timestamp.body"."""
    return hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, "sha256").hex()


@dataclass(frozen=True)
class Step:
    """One digest of a recipe; `key` and `text` are filled, a key "hex:…" is decoded first."""

    name: str
    algorithm: Algorithm
    text: str
    key: str = ""
    encoding: Encoding = "hex"

    def result(self, values: Mapping[str, object]) -> str:
        text = fill(self.text, values).encode()
        key = fill(self.key, values)
        secret = bytes.fromhex(key[4:]) if key.startswith("hex:") else key.encode()
        raw = _digest(self.algorithm, secret, text)
        return raw.hex() if self.encoding == "hex" else base64.b64encode(raw).decode()


def _digest(algorithm: Algorithm, key: bytes, text: bytes) -> bytes:
    match algorithm:
        case "hmac-sha256":
            return hmac.digest(key, text, "sha256")
        case "hmac-sha1":
            return hmac.digest(key, text, "sha1")
        case "hmac-sm3":
            keyed = HMAC(key, hashes.SM3())
            keyed.update(text)
            return keyed.finalize()
        case "sha256":
            return hashlib.sha256(text).digest()
        case "sm3":
            plain = hashes.Hash(hashes.SM3())
            plain.update(text)
            return plain.finalize()
        case "md5":
            # Weak, and still what some SMS services ask for; it protects nothing of ours.
            return hashlib.md5(text, usedforsecurity=False).digest()
