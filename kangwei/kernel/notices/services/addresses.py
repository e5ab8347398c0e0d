"""A person's own addresses, preferences and quiet hours, and the inbox (我的通知)."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import (
    Address,
    ChannelKind,
    ChannelPreference,
    Delivery,
    DeliveryState,
    QuietAction,
    QuietHours,
)
from kangwei.kernel.notices.models.channels import PERSONAL_KINDS, ROBOT_KINDS
from kangwei.kernel.notices.refusals import (
    AddressTaken,
    BadAddress,
    BadQuietHours,
    NoWay,
    ReasonMissing,
)
from kangwei.kernel.notices.senders.base import HIDDEN
from kangwei.kernel.notices.services.checking import checked
from kangwei.kernel.notices.services.notifying import tell_directly
from kangwei.kernel.notices.services.ways import shown
from kangwei.kernel.notices.texts import ADDRESS_CODE
from kangwei.kernel.organisations.models import Account

CODE_HOLDS = timedelta(minutes=10)
#: Between two codes, unless the first could not be sent.
PACE = timedelta(minutes=1)
MOST_TRIES = 5
MOBILE = re.compile(r"1[3-9]\d{9}")
LANDLINE = re.compile(r"0\d{2,3}-?\d{7,8}")
MAIL = re.compile(r"[^@\s<>,;\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def _checked(kind: str, value: str) -> str:
    value = value.strip()
    if kind == ChannelKind.EMAIL and not (MAIL.fullmatch(value) and len(value) <= 254):
        raise BadAddress(f"“{value}”不是有效的邮箱地址。", field="value")
    if kind == ChannelKind.SMS and not MOBILE.fullmatch(value):
        raise BadAddress("手机号应为 11 位数字。", field="value")
    if kind == ChannelKind.VOICE and not (MOBILE.fullmatch(value) or LANDLINE.fullmatch(value)):
        raise BadAddress("电话应为手机号或带区号的固定电话，例如 029-12345678。", field="value")
    if kind not in PERSONAL_KINDS:
        raise BadAddress("通知地址的类型只能是邮件、短信或语音电话。", field="kind")
    return value


@transaction.atomic
def add_address(
    *, account: Account, kind: str, value: str, by: Account | None, at: datetime
) -> Address:
    """Note an address of a person; it is used once it is verified."""
    value = _checked(kind, value)
    if Address.objects.filter(account=account, kind=kind, value=value).exists():
        raise AddressTaken(f"{shown(kind, value)}已经登记，无需重复添加。", field="value")
    address = Address.objects.create(
        account=account, kind=kind, value=value, shown=shown(kind, value)
    )
    audit.record(act="notices.address.added", subject=address, by=by, at=at, detail={"kind": kind})
    return address


def _digest(address: Address, code: str) -> str:
    return crypto.digest(f"{address.pk}:{code}", purpose="notices.address.code")


@transaction.atomic
def ask_for_code(*, address: Address, at: datetime) -> Delivery:
    """Send six digits to the address (验证码); whoever reads them there proves it is his.

    Whether they left stands in the delivery a moment later; the digits themselves do not.
    """
    channel = queries.channel_for(address.kind, address.account.institution_id)
    if channel is None:
        raise NoWay(f"没有可用的{address.get_kind_display()}渠道，无法发送验证码；请联系管理员。")
    locked = Address.objects.select_for_update(of=("self",)).get(pk=address.pk)
    before = queries.code_delivery(locked)
    waiting = before is not None and before.state != DeliveryState.FAILED
    if before is not None and waiting and at - before.created_at < PACE:
        raise NoWay("验证码刚刚发送过，请 1 分钟后再试。")
    code = f"{secrets.randbelow(1_000_000):06d}"
    locked.code_digest = _digest(locked, code)
    locked.code_until, locked.code_tries = at + CODE_HOLDS, 0
    locked.save(update_fields=["code_digest", "code_until", "code_tries"])
    audit.record(act="notices.address.code_sent", subject=locked, by=address.account, at=at)
    return tell_directly(
        channel=channel,
        recipient=address.value,
        account=address.account,
        template=ADDRESS_CODE.code,
        context={"code": HIDDEN, "minutes": int(CODE_HOLDS.total_seconds() // 60)},
        secret=code,
        about=locked,
        at=at,
    )


@dataclass(frozen=True)
class CodeAnswer:
    """Whether the code was right, and the sentence to show."""

    verified: bool
    message: str


@transaction.atomic
def confirm_address(*, address: Address, code: str, at: datetime) -> CodeAnswer:
    """Prove by the code that the address is one's own. Five wrong codes, and it is void.

    A wrong code is an answer, not a refusal: a refusal would be rolled back together with the
    count of tries, and the code could be guessed.
    """
    locked = Address.objects.select_for_update(of=("self",)).get(pk=address.pk)
    usable = locked.code_until is not None and at < locked.code_until
    if not usable or locked.code_tries >= MOST_TRIES:
        return CodeAnswer(False, "验证码已失效，请重新获取。")
    if not hmac.compare_digest(_digest(locked, code.strip()), locked.code_digest):
        locked.code_tries += 1
        locked.save(update_fields=["code_tries"])
        left = MOST_TRIES - locked.code_tries
        return CodeAnswer(False, f"验证码不正确，还可再试 {left} 次。")
    _verified(locked, at)
    audit.record(act="notices.address.verified", subject=locked, by=locked.account, at=at)
    return CodeAnswer(True, f"{locked.shown}已验证，可以接收通知。")


def _verified(address: Address, at: datetime) -> None:
    address.verified_at, address.code_digest, address.code_until = at, "", None
    address.save(update_fields=["verified_at", "code_digest", "code_until"])


@transaction.atomic
def verify_by_hand(*, address: Address, by: Account, at: datetime, reason: str) -> Address:
    """An administrator vouches for an address, with a reason."""
    if not reason.strip():
        raise ReasonMissing("请填写确认该地址的依据。", field="reason")
    locked = Address.objects.select_for_update(of=("self",)).get(pk=address.pk)
    _verified(locked, at)
    audit.record(act="notices.address.verified", subject=locked, by=by, at=at, reason=reason)
    return locked


@transaction.atomic
def remove_address(*, address: Address, by: Account, at: datetime) -> None:
    audit.record(act="notices.address.removed", subject=address, by=by, at=at)
    address.delete()


@transaction.atomic
def set_preferences(
    *, account: Account, kinds: Mapping[int, Sequence[str]], by: Account, at: datetime
) -> None:
    """Choose kinds of channels by priority; the in-app message always comes."""
    allowed = {*PERSONAL_KINDS, *ROBOT_KINDS}
    for priority, chosen in kinds.items():
        if unknown := sorted(set(chosen) - allowed):
            raise BadAddress(f"“{unknown[0]}”不能作为接收方式。", field="kinds")
        ChannelPreference.objects.update_or_create(
            account=account, priority=priority, defaults={"kinds": sorted(set(chosen))}
        )
    audit.record(act="notices.preferences.set", subject=account, by=by, at=at)


@transaction.atomic
def set_quiet_hours(
    *,
    account: Account,
    start: time | None,
    end: time | None,
    rest_days: bool = False,
    break_from: int = 3,
    action: str = QuietAction.HOLD,
    by: Account,
    at: datetime,
) -> QuietHours | None:
    """Set one's quiet hours; without start and end they are taken away."""
    audit.record(act="notices.quiet_hours.set", subject=account, by=by, at=at)
    if start is None or end is None:
        QuietHours.objects.filter(account=account).delete()
        return None
    quiet = QuietHours.objects.filter(account=account).first() or QuietHours(account=account)
    quiet.start, quiet.end, quiet.rest_days = start, end, rest_days
    quiet.break_from, quiet.action = break_from, action
    checked(quiet, BadQuietHours)
    quiet.save()
    return quiet


def mark_read(*, account: Account, at: datetime, delivery: Delivery | None = None) -> int:
    """Mark one message of one's inbox as read, or all of them."""
    unread = queries.inbox(account).filter(read_at=None)
    if delivery is not None:
        unread = unread.filter(pk=delivery.pk)
    return Delivery.objects.filter(pk__in=unread.values("pk")).update(read_at=at)
