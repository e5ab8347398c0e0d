"""Signing in (登录): who is this, may he enter, and what the journal keeps of it.

Nothing here raises inside the transaction: a refused attempt must leave its line, also when it was
made to sign an act that is taken back with the refusal (`Refusal.write_again`). Whether a name
exists is never told: unknown names cost the same time, lock the same way, read the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import (
    Account,
    AccountState,
    SecurityPolicy,
    SignInEvent,
    SignInKind,
)
from kangwei.kernel.organisations.services import second_factor
from kangwei.kernel.organisations.services.attempts import (
    FAILURES,
    Attempt,
    Limits,
    SignInFailed,
    SignInLocked,
    Visitor,
    failed,
    locked,
    locked_until,
    note,
    one_at_a_time,
)
from kangwei.kernel.refusals import Refusal

__all__ = [
    "AccountNotUsable", "LastSignIn", "SignInFailed", "SignInLocked", "Visitor", "locked_until",
    "note_success", "sign_in_by_code", "sign_in_by_password", "why_unusable",
]  # fmt: skip


class AccountNotUsable(Refusal):
    code = "organisations.account_not_usable"
    title = "账号不能使用"
    status = 403


@dataclass(frozen=True)
class LastSignIn:
    """What a person is told after signing in, to notice somebody else's attempts."""

    at: datetime | None
    address: str
    failures: int


def sign_in_by_password(*, username: str, password: str, visitor: Visitor, at: datetime) -> Account:
    """The first step: name and password. Answers the account, or raises why not."""
    attempt = Attempt(username.strip().lower()[:40].replace("\x00", "\ufffd"), visitor, at)
    with transaction.atomic():
        outcome = _by_password(attempt, password)
    if isinstance(outcome, Refusal):
        raise attempt.refuse(outcome)
    return outcome


def _by_password(attempt: Attempt, password: str) -> Account | Refusal:
    one_at_a_time(attempt.username)
    limits = Limits.of(SecurityPolicy.objects.get(pk=1))
    if refusal := locked(attempt, limits):
        return refusal
    account = (
        Account.objects.filter(username=attempt.username).select_related("institution").first()
    )
    if account is None:
        make_password(password)  # as long as checking a real one takes
        return failed(SignInKind.FAILURE, attempt, None, limits, "用户名或密码不正确")
    if not account.check_password(password):
        return failed(SignInKind.FAILURE, attempt, account, limits, "用户名或密码不正确")
    if problem := why_unusable(account, attempt.at):
        attempt.note(SignInKind.FAILURE, account, problem)
        return AccountNotUsable(f"{problem}，请联系本单位管理员。")
    return account


def why_unusable(account: Account, at: datetime) -> str | None:
    """Why a real account may not be used; told only to whoever knows its password."""
    today = clock.local_day(at)
    if account.state == AccountState.SUSPENDED:
        return "账号因未完成年审已暂停"
    if account.state != AccountState.ACTIVE:
        return "账号已停用"
    if account.valid_until is not None and account.valid_until <= today:
        return f"账号已于 {account.valid_until} 过期"
    if not account.institution.is_open(today):
        return "所属机构已停用"
    return None


def sign_in_by_code(*, account: Account, code: str, visitor: Visitor, at: datetime) -> None:
    """The second step: the code on the phone, or a recovery code."""
    attempt = Attempt(account.username, visitor, at)
    with transaction.atomic():
        refusal = _by_code(attempt, account, code)
    if refusal is not None:
        raise attempt.refuse(refusal)


def _by_code(attempt: Attempt, account: Account, code: str) -> Refusal | None:
    one_at_a_time(attempt.username)
    limits = Limits.of(SecurityPolicy.objects.get(pk=1))
    if refusal := locked(attempt, limits):
        return refusal
    if problem := why_unusable(account, attempt.at):
        return AccountNotUsable(f"{problem}，请联系本单位管理员。")
    if second_factor.is_current_code(account=account, code=code, at=attempt.at):
        return None
    if second_factor.accept_recovery_code(account=account, code=code, at=attempt.at):
        attempt.note(SignInKind.RECOVERY_CODE, account)
        return None
    return failed(SignInKind.FACTOR_FAILURE, attempt, account, limits, "动态口令不正确或已使用")


@transaction.atomic
def note_success(*, account: Account, visitor: Visitor, at: datetime) -> LastSignIn:
    """The person is in. Answers when he was here before, and what failed since."""
    before = (
        SignInEvent.objects.filter(account=account, kind=SignInKind.SUCCESS).order_by("-at").first()
    )
    failures = SignInEvent.objects.filter(account=account, kind__in=FAILURES)
    if before is not None:
        failures = failures.filter(at__gt=before.at)
    last = LastSignIn(
        before.at if before else None, (before.address or "") if before else "", failures.count()
    )
    note(SignInKind.SUCCESS, account.username, account, visitor, at, "")
    return last
