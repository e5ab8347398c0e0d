"""What other apps ask of the cryptographic service (密码服务).

Stored form of a ciphertext: `kw1:<algorithm>:<kid>:<base64 of nonce and ciphertext>`. The table,
the column and the kid are authenticated with it, so a value copied into another column or under
another key does not open.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass

from kangwei.kernel.crypto.keys import KeyMissing, ring
from kangwei.kernel.crypto.models import Key
from kangwei.kernel.crypto.provider import NONCE_LENGTH, Unreadable

__all__ = ["Signature", "Unreadable", "decrypt", "digest", "encrypt", "sign", "sm3", "verify"]

FORM = "kw1"


@dataclass(frozen=True)
class Signature:
    """A signature that says how and with which key it was made."""

    algorithm: str
    kid: str
    value: str


def _bound(table: str, column: str, kid: str) -> bytes:
    return f"{table}\0{column}\0{kid}".encode()


def encrypt(text: str, *, table: str, column: str) -> str:
    """Seal a text for this column of this table."""
    key = ring.for_encryption()
    nonce = secrets.token_bytes(NONCE_LENGTH)
    sealed = ring.provider.seal(
        key.algorithm, key.secret, nonce, text.encode(), _bound(table, column, key.kid)
    )
    return f"{FORM}:{key.algorithm}:{key.kid}:{base64.b64encode(nonce + sealed).decode()}"


def decrypt(stored: str, *, table: str, column: str) -> str:
    """Open what `encrypt` sealed for the same column of the same table."""
    parts = stored.split(":")
    if len(parts) < 4 or parts[0] != FORM:
        raise Unreadable("不是本系统的密文。")
    key = ring.by_kid(parts[2])
    try:
        raw = base64.b64decode(parts[3], validate=True)
    except binascii.Error:
        raise Unreadable("密文不完整。") from None
    if parts[1] != key.algorithm or key.purpose != Key.Purpose.FIELD:
        raise Unreadable("密文与密钥的算法不符。")
    bound = _bound(table, column, key.kid)
    return ring.provider.open(
        key.algorithm, key.secret, raw[:NONCE_LENGTH], raw[NONCE_LENGTH:], bound
    ).decode()


def digest(text: str, *, purpose: str) -> str:
    """Keyed SM3 digest for equality search: without the key nobody can try out numbers.

    Two purposes give two different digests, so columns that share none cannot be joined.
    """
    key = ring.active(Key.Purpose.DIGEST)
    return ring.provider.hmac_sm3(key.secret, f"{purpose}\0{text}".encode()).hex()


def sm3(data: bytes) -> str:
    """Plain SM3, in hexadecimal."""
    return ring.provider.sm3(data).hex()


def sign(data: bytes) -> Signature:
    """Sign with the platform's SM2 key."""
    key = ring.active(Key.Purpose.SIGNING)
    return Signature("SM2", key.kid, ring.provider.sign(key.secret, data).hex())


def verify(data: bytes, signature: Signature) -> bool:
    """Whether this platform signed exactly these bytes, now or under an earlier key."""
    try:
        key = ring.by_kid(signature.kid)
        raw = bytes.fromhex(signature.value)
    except (KeyMissing, ValueError):
        return False
    return (
        signature.algorithm == "SM2"
        and key.purpose == Key.Purpose.SIGNING
        and ring.provider.verify(key.public, data, raw)
    )
