"""The cryptographic provider (密码服务提供者): the few primitives the product is built on.

Everything above speaks to this interface only, so that a cryptographic machine (密码机) or a
certified module can take the software's place by naming its class in KW_CRYPTO_PROVIDER.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from kangwei.kernel.crypto import sm2

#: Length of the data key in bytes, by the name written into each ciphertext.
KEY_LENGTH = {"sm4": 16, "aes": 32}
NONCE_LENGTH = 12
TAG_LENGTH = 16


class Unreadable(Exception):
    """A ciphertext does not fit its key or its place: it was altered, moved, or is not ours."""


class Provider(Protocol):
    """What a replacement has to offer. Keys are bytes here; a machine may treat them as handles."""

    name: str
    #: Whether a certified module stands behind it (密评 asks).
    certified: bool

    def sm3(self, data: bytes) -> bytes: ...
    def hmac_sm3(self, key: bytes, data: bytes) -> bytes: ...
    def seal(
        self, algorithm: str, key: bytes, nonce: bytes, text: bytes, bound: bytes
    ) -> bytes: ...
    def open(
        self, algorithm: str, key: bytes, nonce: bytes, sealed: bytes, bound: bytes
    ) -> bytes: ...
    def new_signing_key(self) -> tuple[bytes, bytes]: ...
    def sign(self, private: bytes, data: bytes) -> bytes: ...
    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool: ...


class SoftwareProvider:
    """SM3, SM4-GCM and AES-GCM by OpenSSL through `cryptography`; SM2 by the system's OpenSSL."""

    certified = False

    @property
    def name(self) -> str:
        return f"软件实现（SM2：{sm2.active().title}）"

    def sm3(self, data: bytes) -> bytes:
        return hashlib.new("sm3", data, usedforsecurity=False).digest()

    def hmac_sm3(self, key: bytes, data: bytes) -> bytes:
        mac = HMAC(key, hashes.SM3())
        mac.update(data)
        return mac.finalize()

    def seal(self, algorithm: str, key: bytes, nonce: bytes, text: bytes, bound: bytes) -> bytes:
        encryptor = Cipher(_block(algorithm, key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(bound)
        return encryptor.update(text) + encryptor.finalize() + encryptor.tag

    def open(self, algorithm: str, key: bytes, nonce: bytes, sealed: bytes, bound: bytes) -> bytes:
        if len(sealed) < TAG_LENGTH:
            raise Unreadable("密文不完整。")
        text, tag = sealed[:-TAG_LENGTH], sealed[-TAG_LENGTH:]
        decryptor = Cipher(_block(algorithm, key), modes.GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(bound)
        try:
            return decryptor.update(text) + decryptor.finalize()
        except InvalidTag:
            raise Unreadable("密文与密钥或所在字段不符，可能被改动或移动过。") from None

    def new_signing_key(self) -> tuple[bytes, bytes]:
        return sm2.new_key()

    def sign(self, private: bytes, data: bytes) -> bytes:
        return sm2.sign(private, data)

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        return sm2.verify(public, data, signature)


def _block(algorithm: str, key: bytes) -> algorithms.SM4 | algorithms.AES:
    if len(key) != KEY_LENGTH[algorithm]:
        raise ValueError(f"{algorithm} needs a key of {KEY_LENGTH[algorithm]} bytes")
    return algorithms.SM4(key) if algorithm == "sm4" else algorithms.AES(key)


def same(left: bytes, right: bytes) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(left, right)
