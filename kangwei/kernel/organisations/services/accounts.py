"""Acts on accounts (账号): creating, changing, disabling, enabling, unlocking, resetting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import (
    Account,
    AccountState,
    Duty,
    Institution,
    RecoveryCode,
    SecondFactor,
    SessionEnd,
    SignInEvent,
    SignInKind,
    Staff,
)
from kangwei.kernel.organisations.models.access import Access
from kangwei.kernel.organisations.rules.names import pinyin_code
from kangwei.kernel.organisations.services import passwords
from kangwei.kernel.organisations.services.institutions import InstitutionClosed
from kangwei.kernel.organisations.services.reach import BeyondOwnAccess, holds_all_of
from kangwei.kernel.organisations.services.sessions import end_sessions
from kangwei.kernel.refusals import Refusal


class AccountUnfit(Refusal):
    code = "organisations.account_unfit"
    title = "账号信息有误"
    status = 422


class UsernameTaken(Refusal):
    code = "organisations.username_taken"
    title = "用户名已被使用"


class AccountNotActive(Refusal):
    code = "organisations.account_not_active"
    title = "账号不是正常状态"


class AccountAlreadyActive(Refusal):
    code = "organisations.account_already_active"
    title = "账号已是正常状态"


class OwnAccount(Refusal):
    code = "organisations.own_account"
    title = "不能对自己的账号操作"


USERNAME = re.compile(r"^[a-z0-9][a-z0-9._@-]{1,39}$")


@dataclass(frozen=True)
class NewAccount:
    """An account just made, with the password to hand over once; it is kept nowhere else."""

    account: Account
    password: str


@transaction.atomic
def create_account(
    *,
    username: str,
    name: str,
    institution: Institution,
    by: Account | None,
    at: datetime,
    staff: Staff | None = None,
    valid_until: date | None = None,
    password: str = "",
    must_change_password: bool = True,
) -> NewAccount:
    """Open an account without any rights; grants are another act, by another person if need be.

    Without a password a one-time password is made, to be changed at the first sign-in.
    """
    username = username.strip().lower()
    if not USERNAME.match(username):
        raise AccountUnfit(
            "用户名由字母、数字和 . _ @ - 组成，以字母或数字开头，2 至 40 位。", field="username"
        )
    if Account.objects.filter(username=username).exists():
        raise UsernameTaken(f"用户名 {username} 已被使用，请换一个。", field="username")
    account = Account(
        username=username,
        name=name.strip(),
        institution=institution,
        staff=staff,
        valid_until=valid_until,
        created_at=at,
        created_by=by,
    )
    _check(account, at)
    account.set_unusable_password()
    account.save(force_insert=True)
    if password:
        passwords.set_first_password(account, password, at, must_change=must_change_password)
    else:
        password = passwords.give_one_time_password(account, at)
    audit.record(act="organisations.account.created", subject=account, by=by, at=at)
    return NewAccount(account, password)


def _check(account: Account, at: datetime) -> None:
    today = clock.local_day(at)
    if not account.name or len(account.name) > 40:
        raise AccountUnfit("姓名应为 1 至 40 个字。", field="name")
    if not account.institution.is_open(today):
        raise InstitutionClosed(f"“{account.institution}”未启用或已停用。", field="institution")
    if account.staff and account.staff.institution_id != account.institution_id:
        raise AccountUnfit("业务人员不属于该机构，请重新选择。", field="staff")
    if account.staff and account.staff.left_on and account.staff.left_on <= today:
        raise AccountUnfit(f"{account.staff}已离职，不能使用账号。", field="staff")
    if account.valid_until and account.valid_until <= today:
        raise AccountUnfit("账号有效期应晚于今天。", field="valid_until")
    account.pinyin = pinyin_code(account.name)


@transaction.atomic
def change_account(
    *,
    account: Account,
    by: Account | None,
    at: datetime,
    name: str,
    staff: Staff | None,
    valid_until: date | None,
) -> Account:
    """Correct whose account it is and until when it may be used."""
    _not_own(account, by)
    account = Account.objects.select_for_update().get(pk=account.pk)
    account.name, account.staff, account.valid_until = name.strip(), staff, valid_until
    _check(account, at)
    account.save(update_fields=["name", "pinyin", "staff", "valid_until"])
    audit.record(act="organisations.account.changed", subject=account, by=by, at=at)
    return account


def _not_own(account: Account, by: Account | None) -> None:
    if by is not None and by.pk == account.pk:
        raise OwnAccount("不能用本功能修改自己的账号；请由另一位管理员办理。")


@transaction.atomic
def disable_account(*, account: Account, by: Account | None, at: datetime, reason: str) -> Account:
    """Close an account for good or until enabled again; its sessions end at once."""
    return _deactivate(account, AccountState.DISABLED, by, at, reason)


@transaction.atomic
def suspend_account(*, account: Account, by: Account | None, at: datetime, reason: str) -> Account:
    """Hold an account whose yearly review is overdue (年审暂停); its sessions end at once."""
    return _deactivate(account, AccountState.SUSPENDED, by, at, reason)


def _deactivate(
    account: Account, state: AccountState, by: Account | None, at: datetime, reason: str
) -> Account:
    _not_own(account, by)
    if not reason.strip():
        raise AccountUnfit("请填写停用原因。", field="reason")
    account = Account.objects.select_for_update().get(pk=account.pk)
    # A suspended account may still be closed for good; nothing else changes twice.
    closing = state == AccountState.DISABLED and account.state == AccountState.SUSPENDED
    if account.state != AccountState.ACTIVE and not closing:
        raise AccountNotActive(
            f"账号 {account.username} 现为“{account.get_state_display()}”，无需重复操作。"
        )
    account.state, account.state_reason = state, reason.strip()[:200]
    account.save(update_fields=["state", "state_reason"])
    end_sessions(account, reason=SessionEnd.ACCOUNT, at=at)
    audit.record(
        act=f"organisations.account.{state.value}", subject=account, by=by, at=at, reason=reason
    )
    return account


@transaction.atomic
def enable_account(*, account: Account, by: Account | None, at: datetime, reason: str) -> Account:
    """Let a disabled account be used again. One that is held for its review is not enabled here:
    whoever keeps accounts may be the one who should have had them reviewed."""
    return _activate(account, AccountState.DISABLED, by, at, reason)


@transaction.atomic
def lift_suspension(*, account: Account, by: Account | None, at: datetime, reason: str) -> Account:
    """Let an account be used again whose yearly review was made up for (补年审)."""
    return _activate(account, AccountState.SUSPENDED, by, at, reason)


def _activate(
    account: Account, held: AccountState, by: Account | None, at: datetime, reason: str
) -> Account:
    _not_own(account, by)
    account = Account.objects.select_for_update().get(pk=account.pk)
    if account.state == AccountState.ACTIVE:
        raise AccountAlreadyActive(f"账号 {account.username} 已是正常状态。")
    if account.state != held:
        raise AccountNotActive(
            f"账号 {account.username} 因未完成年审已暂停，请由上级机构在“用户年审”中作出结论。"
            if account.state == AccountState.SUSPENDED
            else f"账号 {account.username} 已停用，请由管理员启用。"
        )
    if account.valid_until and account.valid_until <= clock.local_day(at):
        raise AccountUnfit(
            f"账号已于 {account.valid_until} 过期，请先修改有效期。", field="valid_until"
        )
    if not account.institution.is_open(clock.local_day(at)):
        raise InstitutionClosed(f"“{account.institution}”已停用，账号不能启用。")
    account.state, account.state_reason = AccountState.ACTIVE, ""
    account.save(update_fields=["state", "state_reason"])
    audit.record(act="organisations.account.enabled", subject=account, by=by, at=at, reason=reason)
    return account


def _not_above(account: Account, by: Account | None, duty: Duty, at: datetime) -> None:
    """Whoever can hand out a new password or factor could sign in with it himself, so he may do
    it only for those who may no more than he. Above all stands one of the three administrators
    each: passwords are the system administrator's, second factors the security administrator's,
    so that neither alone can become the other or the auditor (三员分立)."""
    if by is None or duty in Access.load(by, at).duties or holds_all_of(by, account, at):
        return
    raise BeyondOwnAccess(
        f"账号 {account.username} 的权限或数据范围超出您自己的，不能由您重置；"
        f"请联系{duty.label}员办理。"
    )


@transaction.atomic
def reset_password(*, account: Account, by: Account | None, at: datetime, reason: str) -> str:
    """Make a one-time password to hand over; unlocks the account and ends its sessions."""
    _not_own(account, by)
    _not_above(account, by, Duty.SYSTEM, at)
    if account.state != AccountState.ACTIVE:
        raise AccountNotActive(f"账号 {account.username} 已停用，请先启用。")
    account = Account.objects.select_for_update().get(pk=account.pk)
    password = passwords.give_one_time_password(account, at)
    end_sessions(account, reason=SessionEnd.PASSWORD, at=at)
    _note_unlocked(account, at)
    audit.record(act="organisations.password.reset", subject=account, by=by, at=at, reason=reason)
    return password


@transaction.atomic
def unlock_account(*, account: Account, by: Account | None, at: datetime) -> None:
    """Lift a lock that failed sign-ins brought about; earlier failures no longer count."""
    _not_own(account, by)
    _note_unlocked(account, at)
    audit.record(act="organisations.account.unlocked", subject=account, by=by, at=at)


def _note_unlocked(account: Account, at: datetime) -> None:
    SignInEvent.objects.create(
        at=at, kind=SignInKind.UNLOCKED, username=account.username, account=account
    )


@transaction.atomic
def reset_second_factor(*, account: Account, by: Account | None, at: datetime, reason: str) -> None:
    """Forget the authenticator of somebody who lost the phone; it is set up anew at sign-in."""
    _not_own(account, by)
    _not_above(account, by, Duty.SECURITY, at)
    if not reason.strip():
        raise AccountUnfit("请填写重置原因。", field="reason")
    SecondFactor.objects.filter(account=account).delete()
    RecoveryCode.objects.filter(account=account).delete()
    end_sessions(account, reason=SessionEnd.FORCED, at=at)
    audit.record(
        act="organisations.second_factor.reset", subject=account, by=by, at=at, reason=reason
    )


SIGNATURE_LIMIT = 200 * 1024


@transaction.atomic
def set_signature(*, account: Account, image: bytes | None, at: datetime) -> None:
    """Keep the person's handwritten signature as a PNG, for documents; None removes it."""
    if image is not None:
        if len(image) > SIGNATURE_LIMIT:
            raise AccountUnfit("签名图片不能超过 200 KB，请缩小后重新上传。", field="signature")
        if not image.startswith(b"\x89PNG\r\n\x1a\n"):
            raise AccountUnfit("签名图片应为 PNG 格式。", field="signature")
    account.signature = image
    account.save(update_fields=["signature"])
    audit.record(act="organisations.signature.changed", subject=account, by=account, at=at)
