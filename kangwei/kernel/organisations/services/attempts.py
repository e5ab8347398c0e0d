"""Attempts (尝试): guesses at a password or a code are counted, and too many of them lock.

One counter for all places where somebody proves who he is: the sign-in page, a change of password,
a signature. A guess counts even when it was made inside an act that its refusal takes back
(`Refusal.write_again`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import Account, SecurityPolicy, SignInEvent, SignInKind
from kangwei.kernel.organisations.rules import lockout
from kangwei.kernel.refusals import Refusal


class SignInFailed(Refusal):
    code = "organisations.sign_in_failed"
    title = "登录失败"
    status = 401


class SignInLocked(Refusal):
    code = "organisations.sign_in_locked"
    title = "登录已锁定"
    status = 423


@dataclass(frozen=True)
class Visitor:
    """From where somebody tries to sign in."""

    address: str = ""
    agent: str = ""


FAILURES = (SignInKind.FAILURE, SignInKind.FACTOR_FAILURE)
#: After these, earlier failures of the name no longer count.
RESETS = (SignInKind.SUCCESS, SignInKind.LOCKED, SignInKind.UNLOCKED)


@dataclass(frozen=True)
class Attempt:
    """One try at one name, and the lines it left in the journal."""

    username: str
    visitor: Visitor
    at: datetime
    lines: list[SignInEvent] = field(default_factory=list)

    def note(
        self, kind: SignInKind, account: Account | None, reason: str = "", *, named: bool = True
    ) -> None:
        username = self.username if named else ""
        self.lines.append(note(kind, username, account, self.visitor, self.at, reason))

    def refuse(self, refusal: Refusal) -> Refusal:
        """The refusal, which knows the lines that must outlive it."""
        refusal.write_again = lambda: SignInEvent.objects.bulk_create(self.lines)
        return refusal


@dataclass(frozen=True)
class Limits:
    name: lockout.Limits
    address: lockout.Limits

    @classmethod
    def of(cls, policy: SecurityPolicy) -> Limits:
        window = timedelta(minutes=policy.failure_window_minutes)
        lock = timedelta(minutes=policy.lock_minutes)
        return cls(
            lockout.Limits(policy.failures_before_lock, window, lock),
            lockout.Limits(policy.address_failures_before_lock, window, lock),
        )


def one_at_a_time(username: str) -> None:
    """Guesses at one name queue up, so that many at once cannot outrun the counter."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(7210002, hashtext(%s))", [username])


def locked(attempt: Attempt, limits: Limits) -> SignInLocked | None:
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
    limits = limits or Limits.of(SecurityPolicy.objects.get(pk=1)).name
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


def failed(
    kind: SignInKind, attempt: Attempt, account: Account | None, limits: Limits, text: str
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


def _count_address(attempt: Attempt, limits: Limits) -> None:
    address = attempt.visitor.address
    if not address:
        return
    since = attempt.at - limits.address.window
    recent = SignInEvent.objects.filter(address=address, at__gt=since, at__lte=attempt.at)
    failures = recent.filter(kind__in=FAILURES).count()
    if failures >= limits.address.failures:
        attempt.note(SignInKind.ADDRESS_LOCKED, None, f"{failures} 次失败", named=False)


def note(
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


def prove(
    *,
    account: Account,
    at: datetime,
    kind: SignInKind,
    check: Callable[[], bool],
    wrong: Callable[[str], Refusal],
    text: str,
) -> None:
    """Somebody signed in proves again who he is; a wrong answer counts as a failed sign-in.

    `wrong` makes the refusal of the caller's kind from the sentence that says how often he may
    still try.
    """
    origin = audit.current_origin()
    attempt = Attempt(account.username, Visitor(origin.address, origin.agent), at)
    with transaction.atomic():
        one_at_a_time(account.username)
        limits = Limits.of(SecurityPolicy.objects.get(pk=1))
        refusal: Refusal | None = locked(attempt, limits)
        if refusal is None and not check():
            refusal = failed(kind, attempt, account, limits, text)
            if isinstance(refusal, SignInFailed):
                refusal = wrong(refusal.message)
    if refusal is not None:
        raise attempt.refuse(refusal)
