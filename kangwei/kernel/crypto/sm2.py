"""SM2 signatures (GB/T 32918): the digital signature of the Chinese commercial cryptography.

A signature is over SM3(Z ‖ message), where Z binds the signer's id and public key. The first
choice is the system's OpenSSL 3 through a small binding (about 0.35 ms); where it is missing,
gmssl does it in Python (about 10 ms). Both take and give the same plain forms: a private key is
32 bytes, a public key is x ‖ y of 64 bytes, a signature is r ‖ s of 64 bytes.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import secrets
from functools import cache
from typing import Any, Protocol

#: The id that GB/T 35276 gives a signer who has none of his own.
DEFAULT_ID = b"1234567812345678"
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123


class Engine(Protocol):
    title: str

    def public_of(self, private: bytes) -> bytes: ...
    def sign(self, private: bytes, data: bytes, signer: bytes) -> bytes: ...
    def verify(self, public: bytes, data: bytes, signature: bytes, signer: bytes) -> bool: ...


# DER of the two key forms: fixed frames around fixed-length numbers.
_ALGORITHM = bytes.fromhex("301306072a8648ce3d020106082a811ccf5501822d")  # ecPublicKey, SM2 curve
_PUBLIC_FRAME = bytes.fromhex("3059") + _ALGORITHM + bytes.fromhex("03420004")
_PRIVATE_FRAME = bytes.fromhex("3041020100") + _ALGORITHM + bytes.fromhex("042730250201010420")


def _der_number(raw: bytes) -> bytes:
    body = raw.lstrip(b"\0") or b"\0"
    if body[0] & 0x80:
        body = b"\0" + body
    return b"\x02" + bytes([len(body)]) + body


def _to_der(signature: bytes) -> bytes:
    body = _der_number(signature[:32]) + _der_number(signature[32:])
    return b"\x30" + bytes([len(body)]) + body


def _from_der(der: bytes) -> bytes:
    first = der[3]
    r, rest = der[4 : 4 + first], der[4 + first :]
    s = rest[2 : 2 + rest[1]]
    return b"".join(part.lstrip(b"\0").rjust(32, b"\0") for part in (r, s))


class OpenSSL:
    """The system's libcrypto 3, which knows SM2; the one inside `cryptography` offers no curve."""

    title = "系统 OpenSSL 3"

    def __init__(self) -> None:
        lib = ctypes.CDLL("libcrypto.so.3")
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        signatures: dict[str, tuple[Any, list[Any]]] = {
            "EVP_sm3": (pointer, []),
            "d2i_AutoPrivateKey": (pointer, [pointer, pointer, ctypes.c_long]),
            "d2i_PUBKEY": (pointer, [pointer, pointer, ctypes.c_long]),
            "i2d_PUBKEY": (ctypes.c_int, [pointer, pointer]),
            "EVP_PKEY_free": (None, [pointer]),
            "EVP_PKEY_CTX_new": (pointer, [pointer, pointer]),
            "EVP_PKEY_CTX_free": (None, [pointer]),
            "EVP_PKEY_CTX_set1_id": (ctypes.c_int, [pointer, ctypes.c_char_p, size]),
            "EVP_MD_CTX_new": (pointer, []),
            "EVP_MD_CTX_free": (None, [pointer]),
            "EVP_MD_CTX_set_pkey_ctx": (None, [pointer, pointer]),
            "EVP_DigestSignInit": (ctypes.c_int, [pointer] * 5),
            "EVP_DigestSign": (
                ctypes.c_int,
                [pointer, pointer, ctypes.POINTER(size), ctypes.c_char_p, size],
            ),
            "EVP_DigestVerifyInit": (ctypes.c_int, [pointer] * 5),
            "EVP_DigestVerify": (
                ctypes.c_int,
                [pointer, ctypes.c_char_p, size, ctypes.c_char_p, size],
            ),
            "ERR_clear_error": (None, []),
        }
        for name, (result, arguments) in signatures.items():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        self._lib = lib
        # A library without SM2 (built with no-sm2) loads well and fails here.
        self.public_of(bytes(31) + b"\x02")

    def _load(self, loader: str, der: bytes) -> int:
        buffer = ctypes.create_string_buffer(der, len(der))
        cursor = ctypes.c_void_p(ctypes.addressof(buffer))
        key = getattr(self._lib, loader)(None, ctypes.byref(cursor), len(der))
        if not key:
            self._lib.ERR_clear_error()
            raise ValueError("not an SM2 key")
        return int(key)

    def _with_context(self, key: int, signer: bytes) -> tuple[int, int]:
        lib = self._lib
        about_key = lib.EVP_PKEY_CTX_new(key, None)
        context = lib.EVP_MD_CTX_new()
        lib.EVP_PKEY_CTX_set1_id(about_key, signer, len(signer))
        lib.EVP_MD_CTX_set_pkey_ctx(context, about_key)
        return about_key, context

    def public_of(self, private: bytes) -> bytes:
        key = self._load("d2i_AutoPrivateKey", _PRIVATE_FRAME + private)
        try:
            length = self._lib.i2d_PUBKEY(key, None)
            buffer = ctypes.create_string_buffer(length)
            cursor = ctypes.c_void_p(ctypes.addressof(buffer))
            self._lib.i2d_PUBKEY(key, ctypes.byref(cursor))
            return buffer.raw[-64:]
        finally:
            self._lib.EVP_PKEY_free(key)

    def sign(self, private: bytes, data: bytes, signer: bytes) -> bytes:
        lib = self._lib
        key = self._load("d2i_AutoPrivateKey", _PRIVATE_FRAME + private)
        about_key, context = self._with_context(key, signer)
        try:
            made = ctypes.create_string_buffer(80)
            length = ctypes.c_size_t(80)
            if (
                lib.EVP_DigestSignInit(context, None, lib.EVP_sm3(), None, key) != 1
                or lib.EVP_DigestSign(context, made, ctypes.byref(length), data, len(data)) != 1
            ):
                lib.ERR_clear_error()
                raise RuntimeError("OpenSSL could not sign with SM2")
            return _from_der(made.raw[: length.value])
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_CTX_free(about_key)
            lib.EVP_PKEY_free(key)

    def verify(self, public: bytes, data: bytes, signature: bytes, signer: bytes) -> bool:
        lib = self._lib
        try:
            key = self._load("d2i_PUBKEY", _PUBLIC_FRAME + public)
        except ValueError:
            return False  # not a point of the curve
        about_key, context = self._with_context(key, signer)
        try:
            der = _to_der(signature)
            sound: bool = (
                lib.EVP_DigestVerifyInit(context, None, lib.EVP_sm3(), None, key) == 1
                and lib.EVP_DigestVerify(context, der, len(der), data, len(data)) == 1
            )
            lib.ERR_clear_error()
            return sound
        finally:
            lib.EVP_MD_CTX_free(context)
            lib.EVP_PKEY_CTX_free(about_key)
            lib.EVP_PKEY_free(key)


class Gmssl:
    """Python arithmetic: right, slow and not constant in time; for machines without OpenSSL 3."""

    title = "gmssl（纯 Python）"

    def _engine(self, public: bytes, private: bytes = b"") -> Any:
        from gmssl import sm2 as gm

        return gm.CryptSM2(private_key=private.hex(), public_key=public.hex())

    def public_of(self, private: bytes) -> bytes:
        engine = self._engine(b"")
        return bytes.fromhex(engine._kg(int.from_bytes(private, "big"), engine.ecc_table["g"]))

    def _digest(self, public: bytes, data: bytes, signer: bytes) -> bytes:
        from hashlib import new

        table = self._engine(public).ecc_table
        z = new("sm3", usedforsecurity=False)
        z.update((len(signer) * 8).to_bytes(2, "big") + signer)
        z.update(bytes.fromhex(table["a"] + table["b"] + table["g"]) + public)
        return new("sm3", z.digest() + data, usedforsecurity=False).digest()

    def sign(self, private: bytes, data: bytes, signer: bytes) -> bytes:
        public = self.public_of(private)
        nonce = (secrets.randbelow(ORDER - 1) + 1).to_bytes(32, "big").hex()
        made = self._engine(public, private).sign(self._digest(public, data, signer), nonce)
        if made is None:  # this nonce gives r or s of zero; the chance is one in 2^256
            return self.sign(private, data, signer)
        return bytes.fromhex(made)

    def verify(self, public: bytes, data: bytes, signature: bytes, signer: bytes) -> bool:
        engine = self._engine(public)
        return bool(engine.verify(signature.hex(), self._digest(public, data, signer)))


@cache
def active() -> Engine:
    """Which of the two does the work on this machine."""
    try:
        return OpenSSL()
    except (OSError, AttributeError, ValueError):
        return Gmssl()


def new_key() -> tuple[bytes, bytes]:
    """A fresh pair (private, public)."""
    private = (secrets.randbelow(ORDER - 2) + 1).to_bytes(32, "big")
    return private, active().public_of(private)


def sign(private: bytes, data: bytes, signer: bytes = DEFAULT_ID) -> bytes:
    return active().sign(private, data, signer)


def verify(public: bytes, data: bytes, signature: bytes, signer: bytes = DEFAULT_ID) -> bool:
    if len(signature) != 64 or len(public) != 64:
        return False
    return active().verify(public, data, signature, signer)
