"""Acts on keys: create, rotate, revoke, and recognise the caller by one (接口密钥)."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection, transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.refusals import Invalid, Refusal

from .errors import AddressNotAllowed, NotSignedIn, TooManyCalls
from .idempotency import KEEP_ANSWERS
from .models import ApiKey, IdempotentAnswer

if TYPE_CHECKING:
    from kangwei.kernel.organisations.models import Account

#: Longer than a year nobody remembers where a key lies.
LONGEST_LIFE = timedelta(days=366)
#: While programs are being switched over, the old key of a rotation still works this long.
DEFAULT_OVERLAP = timedelta(days=7)
LONGEST_OVERLAP = timedelta(days=30)
#: Noting every use would write at every call; to the minute is close enough.
NOTE_USE_EVERY = timedelta(minutes=1)

_PREFIX_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_BEARER = re.compile(r"^Bearer kw_([a-z0-9]{8})_([A-Za-z0-9_-]{43})$")


class ScopeTooWide(Refusal):
    code = "api.key_scope_too_wide"
    title = "密钥权限超出账号权限"
    status = 422


class KeyNotUsable(Refusal):
    code = "api.key_not_usable"
    title = "密钥已失效"


class KeyAlreadyRotated(Refusal):
    code = "api.key_already_rotated"
    title = "密钥已经轮换"


@dataclass(frozen=True)
class FreshKey:
    """A new key and its text, which is shown now and never again."""

    key: ApiKey
    text: str


@transaction.atomic
def create_key(
    *,
    account: Account,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime,
    by: Account,
    at: datetime,
    addresses: Sequence[str] = (),
    calls_per_minute: int = 600,
) -> FreshKey:
    """Give an account a key. What the account may not do, its key may not do either."""
    fresh = _write(
        account=account,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        by=by,
        at=at,
        addresses=addresses,
        calls_per_minute=calls_per_minute,
        rotated_from=None,
    )
    audit.record(
        act="api.key.created",
        subject=fresh.key,
        by=by,
        at=at,
        detail={"account": account.pk, "scopes": list(fresh.key.scopes)},
    )
    return fresh


@transaction.atomic
def rotate_key(
    *,
    key: ApiKey,
    expires_at: datetime,
    by: Account,
    at: datetime,
    overlap: timedelta = DEFAULT_OVERLAP,
) -> FreshKey:
    """Replace a key by a new one of the same scope; for the overlap both work."""
    old = ApiKey.objects.select_for_update(of=("self",)).select_related("account").get(pk=key.pk)
    if old.revoked_at is not None or old.expires_at <= at:
        raise KeyNotUsable(f"密钥“{old.name}”已作废或到期，请直接创建新密钥。")
    if ApiKey.objects.filter(rotated_from=old).exists():
        raise KeyAlreadyRotated(f"密钥“{old.name}”已经轮换过，请轮换它的新密钥。")
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise Invalid("新旧密钥并用的时间应在 0 到 30 天之间。", field="overlap")
    fresh = _write(
        account=old.account,
        name=old.name,
        scopes=[scope for scope in old.scopes if old.account.has_perm(scope)],
        expires_at=expires_at,
        by=by,
        at=at,
        addresses=old.addresses,
        calls_per_minute=old.calls_per_minute,
        rotated_from=old,
    )
    # A key lives at least one moment, which the constraint on its dates wants too.
    old.expires_at = min(old.expires_at, max(at + overlap, old.created_at + timedelta(seconds=1)))
    old.save(update_fields=["expires_at"])
    audit.record(
        act="api.key.rotated",
        subject=fresh.key,
        by=by,
        at=at,
        detail={"old": f"kw_{old.prefix}", "old_expires_at": old.expires_at},
    )
    return fresh


@transaction.atomic
def revoke_key(*, key: ApiKey, by: Account, at: datetime, reason: str = "") -> ApiKey:
    """End a key at once."""
    key = ApiKey.objects.select_for_update(of=("self",)).get(pk=key.pk)
    if key.revoked_at is not None:
        raise KeyNotUsable(f"密钥“{key.name}”已经作废，无需重复操作。")
    key.revoked_at, key.revoked_by = at, by
    key.save(update_fields=["revoked_at", "revoked_by"])
    audit.record(act="api.key.revoked", subject=key, by=by, at=at, reason=reason)
    return key


def authenticate(*, header: str, address: str, at: datetime) -> ApiKey:
    """The key in an Authorization header, with its account: one query, and one for the counter.

    Whoever does not hold a secret learns nothing: a wrong prefix and a wrong secret read alike.
    """
    found = _BEARER.match(header)
    key = (
        ApiKey.objects.select_related("account__institution").filter(prefix=found.group(1)).first()
        if found
        else None
    )
    if found is None or key is None or not hmac.compare_digest(key.digest, _digest(found.group(2))):
        raise NotSignedIn("接口密钥无效，请检查 Authorization: Bearer kw_… 是否完整。")
    if key.revoked_at is not None:
        raise NotSignedIn(f"密钥 kw_{key.prefix} 已作废，请联系管理员更换。")
    if key.expires_at <= at:
        raise NotSignedIn(f"密钥 kw_{key.prefix} 已到期，请更换新密钥。")
    if not key.account.is_usable(at):
        raise NotSignedIn("密钥所属账号或其机构已停用或到期，请联系管理员。")
    if key.addresses and not _within(address, key.addresses):
        raise AddressNotAllowed(
            f"密钥 kw_{key.prefix} 不允许从 {address or '未知地址'} 调用，请联系管理员。"
        )
    key.account.hold_to(key.scopes)
    _count_call(key, at)
    if key.last_used_at is None or at - key.last_used_at > NOTE_USE_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
    return key


def delete_old_answers(*, at: datetime) -> int:
    """Forget the answers of repeated requests after their 48 hours; answers how many."""
    count, _ = IdempotentAnswer.objects.filter(created_at__lt=at - KEEP_ANSWERS).delete()
    return count


def _write(
    *,
    account: Account,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime,
    by: Account,
    at: datetime,
    addresses: Sequence[str],
    calls_per_minute: int,
    rotated_from: ApiKey | None,
) -> FreshKey:
    wanted = sorted(set(scopes))
    if not name.strip():
        raise Invalid("请填写密钥的用途，便于日后辨认。", field="name")
    if not wanted:
        raise Invalid("请至少选择一项权限。", field="scopes")
    beyond = [scope for scope in wanted if not account.has_perm(scope)]
    if beyond:
        raise ScopeTooWide(
            f"账号“{account}”没有权限 {beyond[0]}，密钥的权限不能超出账号的权限。", field="scopes"
        )
    if not at < expires_at <= at + LONGEST_LIFE:
        raise Invalid("到期时间应在现在之后、一年之内。", field="expires_at")
    if not 1 <= calls_per_minute <= 60_000:
        raise Invalid("每分钟调用上限应在 1 到 60000 之间。", field="calls_per_minute")
    prefix = "".join(secrets.choice(_PREFIX_LETTERS) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        account=account,
        name=name.strip()[:60],
        prefix=prefix,
        digest=_digest(secret),
        scopes=wanted,
        addresses=[_network(text) for text in addresses],
        calls_per_minute=calls_per_minute,
        created_at=at,
        created_by=by,
        expires_at=expires_at,
        rotated_from=rotated_from,
    )
    return FreshKey(key, f"kw_{prefix}_{secret}")


def _digest(secret: str) -> str:
    # A plain digest is enough: 256 random bits cannot be tried out.
    return crypto.sm3(secret.encode())


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        raise Invalid(
            f"“{text[:60]}”不是 IP 地址或网段，应形如 10.1.2.3 或 10.1.0.0/16。", field="addresses"
        ) from None


def _within(address: str, networks: Sequence[str]) -> bool:
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(caller in ipaddress.ip_network(text) for text in networks)


def _count_call(key: ApiKey, at: datetime) -> None:
    """One call more in this minute, counted for all processes together."""
    minute, second = divmod(int(at.timestamp()), 60)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO api_callwindow AS seen (key_id, minute, calls) VALUES (%s, %s, 1)
            ON CONFLICT (key_id) DO UPDATE SET
                calls = CASE WHEN seen.minute = excluded.minute THEN seen.calls + 1 ELSE 1 END,
                minute = excluded.minute
            RETURNING calls
            """,
            [key.pk, minute],
        )
        row = cursor.fetchone()
    if row and row[0] > key.calls_per_minute:
        raise TooManyCalls(
            f"密钥 kw_{key.prefix} 每分钟最多调用 {key.calls_per_minute} 次，请稍后重试。",
            retry_after=60 - second,
        )
