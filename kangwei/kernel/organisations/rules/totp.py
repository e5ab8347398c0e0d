"""The six digits on the phone (动态口令): RFC 4226 and RFC 6238.

A shared secret and the number of the half minute since 1970 make a code. A code of the half
minute before or after is accepted too, because phones are late; a code is accepted once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from datetime import datetime
from urllib.parse import quote, urlencode

#: Who stands in the list of the authenticator.
ISSUER = "康维"
STEP_SECONDS = 30
DIGITS = 6
#: How many steps early or late a code may be.
TOLERANCE = 1


def code_at_counter(
    secret: bytes, counter: int, *, digits: int = DIGITS, algorithm: str = "sha1"
) -> str:
    """HOTP: the dynamically truncated HMAC of the counter (RFC 4226 section 5.3)."""
    mac = hmac.new(secret, struct.pack(">Q", counter), getattr(hashlib, algorithm)).digest()
    offset = mac[-1] & 0x0F
    number = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFF_FFFF
    return str(number % 10**digits).zfill(digits)


def step_of(at: datetime) -> int:
    return int(at.timestamp()) // STEP_SECONDS


def code_at(secret: bytes, at: datetime) -> str:
    return code_at_counter(secret, step_of(at))


def accepted_step(secret: bytes, code: str, at: datetime, *, last_step: int) -> int | None:
    """The step this code belongs to, or None if it is wrong, too old, or was used before."""
    now = step_of(at)
    found = None
    # Every step is compared, so that the time taken tells nothing about which one matched.
    for step in range(now - TOLERANCE, now + TOLERANCE + 1):
        matches = hmac.compare_digest(code_at_counter(secret, step).encode(), code.encode())
        if matches and step > last_step and found is None:
            found = step
    return found


def base32(secret: bytes) -> str:
    """As authenticators expect it, without padding."""
    return base64.b32encode(secret).decode().rstrip("=")


def from_base32(text: str) -> bytes:
    return base64.b32decode(text + "=" * (-len(text) % 8))


def provisioning_uri(secret: bytes, *, account: str, issuer: str) -> str:
    """The address inside the QR picture."""
    query = urlencode(
        {"secret": base32(secret), "issuer": issuer, "digits": DIGITS, "period": STEP_SECONDS},
        quote_via=quote,
    )
    return f"otpauth://totp/{quote(issuer)}:{quote(account)}?{query}"
