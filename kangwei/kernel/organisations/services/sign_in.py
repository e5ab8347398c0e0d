"""Signing in (登录): who is this, may he enter, and what the journal keeps of it.

Nothing here raises inside the transaction: a refused attempt must leave its line, also when it was
made to sign an act that is taken back with the refusal (`Refusal.write_again`). Whether a name
exists is never told: unknown names cost the same time, lock the same way, read the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import (
    Account,
    AccountState,
    SecurityPolicy,
    SignInEvent,
    SignInKind,
)
from kangwei.kernel.organisations.rules import lockout
from kangwei.kernel.organisations.services import second_factor
from kangwei.kernel.refusals import Refusal


class SignInFailed(Refusal):
    code = "organisations.sign_in_failed"
    title = "登录失败"
    status = 401


class SignInLocked(Refusal):
    code = "organisations.sign_in_locked"
    title = "登录已锁定"
    status = 423


class AccountNotUsable(Refusal):
    code = "organisations.account_not_usable"
    title = "账号不能使用"
    status = 403


@dataclass(frozen=True)
class Visitor:
    """From where somebody tries to sign in."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True)
class LastSignIn:
    """What a person is told after signing in, to notice somebody else's attempts."""

    at: datetime | None
    address: str
    failures: int


FAILURES = (SignInKind.FAILURE, SignInKind.FACTOR_FAILURE)
#: After these, earlier failures of the name no longer count.
RESETS = (SignInKind.SUCCESS, SignInKind.LOCKED, SignInKind.UNLOCKED)


@dataclass(frozen=True)
class _Attempt:
    """One try at one name, and the lines it left in the journal."""

    username: str
    visitor: Visitor
    at: datetime
    lines: list[SignInEvent] = field(default_factory=list)

    def note(
        self, kind: SignInKind, account: Account | None, reason: str = "", *, named: bool = True
    ) -> None:
        username = self.username if named else ""
        self.lines.append(_note(kind, username, account, self.visitor, self.at, reason))

    def refuse(self, refusal: Refusal) -> Refusal:
        """A guess counts even when it was made inside an act that its refusal takes back."""
        refusal.write_again = lambda: SignInEvent.objects.bulk_create(self.lines)
        return refusal


def sign_in_by_password(*, username: str, password: str, visitor: Visitor, at: datetime) -> Account:
    """The first step: name and password. Answers the account, or raises why not."""
    attempt = _Attempt(username.strip().lower()[:40].replace("\x00", "\ufffd"), visitor, at)
    with transaction.atomic():
        outcome = _by_password(attempt, password)
    if isinstance(outcome, Refusal):
        raise attempt.refuse(outcome)
    return outcome


def _by_password(attempt: _Attempt, password: str) -> Account | Refusal:
    _one_at_a_time(attempt.username)
    limits = _Limits.of(SecurityPolicy.objects.get(pk=1))
    if refusal := _locked(attempt, limits):
        return refusal
    account = (
        Account.objects.filter(username=attempt.username).select_related("institution").first()
    )
    if account is None:
        make_password(password)  # as long as checking a real one takes
        return _failure(SignInKind.FAILURE, attempt, None, limits, "用户名或密码不正确")
    if not account.check_password(password):
        return _failure(SignInKind.FAILURE, attempt, account, limits, "用户名或密码不正确")
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
    attempt = _Attempt(account.username, visitor, at)
    with transaction.atomic():
        refusal = _by_code(attempt, account, code)
    if refusal is not None:
        raise attempt.refuse(refusal)


def _by_code(attempt: _Attempt, account: Account, code: str) -> Refusal | None:
    _one_at_a_time(attempt.username)
    limits = _Limits.of(SecurityPolicy.objects.get(pk=1))
    if refusal := _locked(attempt, limits):
        return refusal
    if problem := why_unusable(account, attempt.at):
        return AccountNotUsable(f"{problem}，请联系本单位管理员。")
    if second_factor.accept_code(account=account, code=code, at=attempt.at):
        return None
    if second_factor.accept_recovery_code(account=account, code=code, at=attempt.at):
        attempt.note(SignInKind.RECOVERY_CODE, account)
        return None
    return _failure(SignInKind.FACTOR_FAILURE, attempt, account, limits, "动态口令不正确或已使用")


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
    _note(SignInKind.SUCCESS, account.username, account, visitor, at, "")
    return last


@dataclass(frozen=True)
class _Limits:
    name: lockout.Limits
    address: lockout.Limits

    @classmethod
    def of(cls, policy: SecurityPolicy) -> _Limits:
        window = timedelta(minutes=policy.failure_window_minutes)
        lock = timedelta(minutes=policy.lock_minutes)
        return cls(
            lockout.Limits(policy.failures_before_lock, window, lock),
            lockout.Limits(policy.address_failures_before_lock, window, lock),
        )


def _one_at_a_time(username: str) -> None:
    """Guesses at one name queue up, so that many at once cannot outrun the counter."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7210002, hashtext(%s))", [username])


def _locked(attempt: _Attempt, limits: _Limits) -> SignInLocked | None:
    at, address = attempt.at, attempt.visitor.address
    end = locked_until(attempt.username, at, limits.name)
    what = "该用户名"
    if end is None and address:
        last = (
            SignInEvent.objects.filter(address=address, kind=SignInKind.ADDRESS_LOCKED, at__lte=at)
            .order_by("-at")
            .values_list("at", flat=True)
            .first()
        )
        end = lockout.locked_until(last, at, limits.address)
        what = "您的网络地址"
    if end is None:
        return None
    account = Account.objects.filter(username=attempt.username).first()
    attempt.note(SignInKind.REFUSED_LOCKED, account)
    return _lock_message(what, end)


def _lock_message(what: str, end: datetime) -> SignInLocked:
    until = end.astimezone(clock.SHANGHAI).strftime("%H:%M")
    return SignInLocked(f"{what}连续登录失败次数过多，已锁定至 {until}；如非本人操作请联系管理员。")


def locked_until(
    username: str, at: datetime, limits: lockout.Limits | None = None
) -> datetime | None:
    """The end of a name's lock, unless an administrator lifted it."""
    limits = limits or _Limits.of(SecurityPolicy.objects.get(pk=1)).name
    last = (
        SignInEvent.objects.filter(
            username=username, kind__in=[SignInKind.LOCKED, SignInKind.UNLOCKED], at__lte=at
        )
        .order_by("-at", "-pk")
        .first()
    )
    if last is None or last.kind == SignInKind.UNLOCKED:
        return None
    return lockout.locked_until(last.at, at, limits)


def _failure(
    kind: SignInKind, attempt: _Attempt, account: Account | None, limits: _Limits, text: str
) -> Refusal:
    """Note a failure; with it, the name's lock and the address's lock when they fall due."""
    at = attempt.at
    since = at - limits.name.window
    recent = SignInEvent.objects.filter(username=attempt.username, at__gt=since, at__lte=at)
    reset = recent.filter(kind__in=RESETS).order_by("-at", "-pk").first()
    failures = recent.filter(kind__in=FAILURES)
    if reset is not None:
        failures = failures.filter(pk__gt=reset.pk)
    earlier = list(failures.values_list("at", flat=True))
    attempt.note(kind, account, text)
    _count_address(attempt, limits)
    if lockout.locks_now(earlier, at, limits.name):
        attempt.note(SignInKind.LOCKED, account)
        return _lock_message("该用户名", at + limits.name.lock)
    left = lockout.failures_left(earlier, at, limits.name)
    return SignInFailed(f"{text}，还可尝试 {left} 次。")


def _count_address(attempt: _Attempt, limits: _Limits) -> None:
    address = attempt.visitor.address
    if not address:
        return
    since = attempt.at - limits.address.window
    recent = SignInEvent.objects.filter(address=address, at__gt=since, at__lte=attempt.at)
    failures = recent.filter(kind__in=FAILURES).count()
    if failures >= limits.address.failures:
        attempt.note(SignInKind.ADDRESS_LOCKED, None, f"{failures} 次失败", named=False)


def _note(
    kind: SignInKind,
    username: str,
    account: Account | None,
    visitor: Visitor,
    at: datetime,
    reason: str,
) -> SignInEvent:
    return SignInEvent.objects.create(
        at=at,
        kind=kind,
        username=username,
        account=account,
        address=visitor.address or None,
        agent=visitor.agent[:200],
        reason=reason[:100],
    )
