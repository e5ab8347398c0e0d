"""The key ring (密钥环): unwraps keys with the master key and remembers them in this process.

The master key (settings.SECRETS.master, from the key file of mode 600) wraps every stored key
with authenticated encryption bound to its kid and purpose, so a key cannot be given another's name.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string
from psycopg.pq import TransactionStatus

from kangwei.kernel.crypto.models import Key
from kangwei.kernel.crypto.provider import KEY_LENGTH, NONCE_LENGTH, Provider, Unreadable
from kangwei.kernel.refusals import Refusal

#: Encryptions counted at once; a block half used when a process ends counts as used.
BLOCK = 1024
#: A random nonce of 96 bits allows 2^32 encryptions under one key (NIST SP 800-38D, 8.3).
LIMIT = 2**32
#: Half of it: from here on the schedule rotates.
ROTATE_AT = 2**31
#: How long a process may go on encrypting under a key that another process has just retired.
REMEMBERED_FOR = 60.0


class KeyExhausted(Refusal):
    code = "crypto.key_exhausted"
    title = "密钥使用次数已到上限"
    status = 503


class KeyMissing(Refusal):
    code = "crypto.key_missing"
    title = "密钥不存在"
    status = 503


@dataclass(frozen=True)
class OpenKey:
    """A key as the work needs it."""

    kid: str
    purpose: str
    algorithm: str
    secret: bytes
    public: bytes

    def __repr__(self) -> str:
        return f"<OpenKey {self.purpose} {self.kid}>"


class KeyRing:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._provider: Provider | None = None
        self.forget()

    def forget(self) -> None:
        """Read everything anew: after a rotation, and when tables were remade."""
        self._known: dict[str, OpenKey] = {}
        self._active: dict[str, tuple[float, OpenKey]] = {}
        self._uses_left = 0
        self._counted_kid = ""

    @property
    def provider(self) -> Provider:
        if self._provider is None:
            self._provider = import_string(settings.CRYPTO_PROVIDER)()
        return self._provider

    def active(self, purpose: str) -> OpenKey:
        held = self._active.get(purpose)
        if held and time.monotonic() - held[0] < REMEMBERED_FOR:
            return held[1]
        row = Key.objects.filter(purpose=purpose, state=Key.State.ACTIVE).first()
        if row is None:
            raise KeyMissing(f"没有用于“{purpose}”的密钥；请执行 manage.py migrate 后重试。")
        key = self._open(row)
        self._active[purpose] = (time.monotonic(), key)
        return key

    def by_kid(self, kid: str) -> OpenKey:
        if kid not in self._known:
            row = Key.objects.filter(pk=kid).first()
            if row is None:
                raise KeyMissing(f"密钥 {kid} 不在密钥表中；请从备份恢复 crypto_key 表。")
            self._open(row)
        return self._known[kid]

    def for_encryption(self) -> OpenKey:
        """The active field key, with this use counted."""
        raw = connection.connection
        if raw is not None and raw.info.transaction_status == TransactionStatus.ACTIVE:
            # Counting asks the database now and then, which would wait for its own COPY for ever.
            raise RuntimeError("encrypt the rows before the COPY on this connection begins")
        key = self.active(Key.Purpose.FIELD)
        with self._lock:
            if self._counted_kid != key.kid or self._uses_left == 0:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT nextval('crypto_use_block')")
                    block = cursor.fetchone()[0]
                first = Key.objects.values_list("first_block", flat=True).get(pk=key.kid)
                if (block - first) * BLOCK >= LIMIT:
                    raise KeyExhausted("字段密钥的加密次数已到上限，请执行 manage.py rotate_keys。")
                self._counted_kid, self._uses_left = key.kid, BLOCK
            self._uses_left -= 1
        return key

    def _open(self, row: Key) -> OpenKey:
        algorithm, _, body = row.wrapped.partition(":")
        raw = base64.b64decode(body)
        try:
            secret = self.provider.open(
                algorithm,
                self._wrapping_key(algorithm),
                raw[:NONCE_LENGTH],
                raw[NONCE_LENGTH:],
                f"{row.kid}:{row.purpose}:{row.algorithm}".encode(),
            )
        except Unreadable:
            raise KeyMissing(
                f"密钥 {row.kid} 无法用现有主密钥打开；请恢复与数据库配套的密钥文件。"
            ) from None
        key = OpenKey(row.kid, row.purpose, row.algorithm, secret, bytes.fromhex(row.public))
        self._known[row.kid] = key
        return key

    def _wrapping_key(self, algorithm: str) -> bytes:
        derived = self.provider.hmac_sm3(settings.SECRETS.master, f"wrap:{algorithm}".encode())
        return derived[: KEY_LENGTH[algorithm]]

    def wrap(self, kid: str, purpose: str, algorithm: str, secret: bytes) -> str:
        cipher: str = settings.CIPHER
        nonce = secrets.token_bytes(NONCE_LENGTH)
        sealed = self.provider.seal(
            cipher,
            self._wrapping_key(cipher),
            nonce,
            secret,
            f"{kid}:{purpose}:{algorithm}".encode(),
        )
        return f"{cipher}:{base64.b64encode(nonce + sealed).decode()}"


ring = KeyRing()


def make_key(purpose: str, at: datetime) -> Key:
    """Create a key of this purpose and make it the active one; the former is retired."""
    algorithm, secret, public = settings.CIPHER, b"", b""
    if purpose == Key.Purpose.SIGNING:
        algorithm = "sm2"
        secret, public = ring.provider.new_signing_key()
    elif purpose == Key.Purpose.DIGEST:
        algorithm, secret = "hmac-sm3", secrets.token_bytes(32)
    else:
        secret = secrets.token_bytes(KEY_LENGTH[algorithm])
    kid = f"{purpose[0]}{at:%y%m%d}{secrets.token_hex(4)}"
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval('crypto_use_block')")
            block = cursor.fetchone()[0]
        Key.objects.filter(purpose=purpose, state=Key.State.ACTIVE).update(
            state=Key.State.RETIRED, retired_at=at, last_block=block
        )
        key = Key.objects.create(
            kid=kid,
            purpose=purpose,
            algorithm=algorithm,
            wrapped=ring.wrap(kid, purpose, algorithm, secret),
            public=public.hex(),
            created_at=at,
            first_block=block,
        )
        # At once for this transaction's own work, and again for everybody after the commit.
        ring.forget()
        transaction.on_commit(ring.forget)
    return key


def ensure_keys(at: datetime) -> None:
    """Make the keys that are missing; runs after migrate, so that no act ever waits for a key."""
    ring.forget()
    for purpose in Key.Purpose.values:
        if not Key.objects.filter(purpose=purpose, state=Key.State.ACTIVE).exists():
            make_key(purpose, at)
    ring.forget()
