"""How results are stored (存储): canonical JSON, compressed; encrypted where it is personal.

The digest of a snapshot is taken over the canonical text, not over what compression makes of it,
so that it can be checked by anybody who has the rows.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kangwei.kernel.crypto import services as crypto

from .rules.results import Result, frame, from_frame, restore_rows, store_rows

CHUNK = 5_000
_PLAIN, _SEALED = b"\x00", b"\x01"


def canonical(data: Any) -> bytes:
    """The one text of some data: keys sorted, no spaces, UTF-8."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def pack(text: bytes, *, personal: bool, column: str) -> bytes:
    """Compress a text, and seal it for its column when it holds personal data."""
    squeezed = zlib.compress(text, 6)
    if not personal:
        return _PLAIN + squeezed
    sealed = crypto.encrypt(base64.b64encode(squeezed).decode(), table="reporting", column=column)
    return _SEALED + sealed.encode()


def unpack(stored: bytes | memoryview, *, column: str) -> bytes:
    raw = bytes(stored)
    if raw[:1] == _PLAIN:
        return zlib.decompress(raw[1:])
    opened = crypto.decrypt(raw[1:].decode(), table="reporting", column=column)
    return zlib.decompress(base64.b64decode(opened))


def frame_text(result: Result) -> bytes:
    return canonical(frame(result))


def chunk_texts(result: Result) -> Iterable[bytes]:
    """The rows as canonical texts of some thousand rows each."""
    for start in range(0, len(result.rows), CHUNK):
        yield canonical(store_rows(result.columns, result.rows[start : start + CHUNK]))


def digest(parts: Iterable[bytes]) -> str:
    """SM3 over parts, each preceded by its length so that no border can move."""
    whole = bytearray()
    for part in parts:
        whole += len(part).to_bytes(8, "big") + part
    return crypto.sm3(bytes(whole))


def read_result(frame_: bytes, chunks: Sequence[bytes]) -> Result:
    """Rebuild a result from its texts."""
    described: Mapping[str, Any] = msgspec.json.decode(frame_)
    empty = from_frame(described, ())
    rows = [
        row for chunk in chunks for row in restore_rows(empty.columns, msgspec.json.decode(chunk))
    ]
    return from_frame(described, rows)
