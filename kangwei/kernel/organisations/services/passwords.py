"""Setting passwords (密码): the policy, the history, and one-time passwords."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from functools import cache

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations import builtin
from kangwei.kernel.organisations.models import (
    Account,
    PastPassword,
    SecurityPolicy,
    SessionEnd,
    SignInKind,
    Staff,
)
from kangwei.kernel.organisations.rules import passwords as rules
from kangwei.kernel.organisations.services.attempts import prove
from kangwei.kernel.organisations.services.sessions import end_sessions
from kangwei.kernel.refusals import Refusal


class PasswordUnfit(Refusal):
    code = "organisations.password_unfit"
    title = "密码不符合要求"
    status = 422


class PasswordWrong(Refusal):
    code = "organisations.password_wrong"
    title = "原密码不正确"
    status = 422


class PasswordTooSoon(Refusal):
    code = "organisations.password_too_soon"
    title = "密码修改过于频繁"


def policy() -> SecurityPolicy:
    return SecurityPolicy.objects.get(pk=1)


@cache
def common_words() -> frozenset[str]:
    return frozenset(builtin.read("common_passwords.json")["words"])


def problems(account: Account, password: str) -> list[str]:
    """Why this account may not use this password; empty when it may."""
    return rules.problems_with_password(
        password,
        min_length=policy().password_min_length,
        names=_own_words(account.username, account.staff),
        common=common_words(),
    )


def _own_words(username: str, staff: Staff | None) -> list[str]:
    return [username, str(staff.phone) if staff else ""]


def password_is_due(account: Account, at: datetime) -> bool:
    """Must it be changed before anything else: handed out once, or too old?"""
    if account.must_change_password or account.password_changed_at is None:
        return True
    return at - account.password_changed_at >= timedelta(days=policy().password_max_age_days)


def change_own_password(
    *, account: Account, old: str, new: str, at: datetime, keep_session: str = ""
) -> None:
    """Choose a new password, proving the old one; every other session of the account ends."""
    prove(
        account=account, at=at, kind=SignInKind.FAILURE,
        check=lambda: Account.objects.get(pk=account.pk).check_password(old),
        wrong=lambda text: PasswordWrong(text, field="old"),
        text="原密码不正确，请重新输入",
    )  # fmt: skip
    _change(account, new, at, keep_session)


@transaction.atomic
def _change(account: Account, new: str, at: datetime, keep_session: str) -> None:
    account = Account.objects.select_for_update().get(pk=account.pk)
    rule = policy()
    since = account.password_changed_at
    soonest = since + timedelta(hours=rule.password_min_age_hours) if since else None
    if soonest and at < soonest and not account.must_change_password:
        raise PasswordTooSoon(
            f"密码刚修改过，{rule.password_min_age_hours} 小时内不能再次修改；"
            "如怀疑泄露，请联系管理员重置。"
        )
    found = problems(account, new)
    if found:
        raise PasswordUnfit("；".join(found) + "。", field="new")
    used = [account.password, *_past(account, rule.password_history)]
    if any(check_password(new, encoded) for encoded in used):
        raise PasswordUnfit(f"不能使用最近 {rule.password_history} 次用过的密码。", field="new")
    _store(account, make_password(new), at, must_change=False)
    end_sessions(account, reason=SessionEnd.PASSWORD, at=at, keep=keep_session)
    audit.record(act="organisations.password.changed", subject=account, by=account, at=at)


def _past(account: Account, count: int) -> list[str]:
    rows = PastPassword.objects.filter(account=account).order_by("-set_at", "-pk")
    return list(rows.values_list("encoded", flat=True)[:count])


def _store(account: Account, encoded: str, at: datetime, *, must_change: bool) -> None:
    account.password = encoded
    account.must_change_password = must_change
    account.password_changed_at = at
    account.save(update_fields=["password", "must_change_password", "password_changed_at"])
    PastPassword.objects.create(account=account, encoded=encoded, set_at=at)
    kept = PastPassword.objects.filter(account=account).order_by("-set_at", "-pk")
    PastPassword.objects.filter(
        account=account, pk__in=list(kept.values_list("pk", flat=True)[24:])
    ).delete()


def give_one_time_password(account: Account, at: datetime) -> str:
    """Set a password that must be changed at the first sign-in; answer it, once."""
    length = policy().password_min_length
    own = _own_words(account.username, account.staff)
    while True:
        password = rules.one_time_password(secrets.choice, length)
        if not rules.problems_with_password(
            password, min_length=length, names=own, common=common_words()
        ):
            break
    _store(account, make_password(password), at, must_change=True)
    return password


def set_first_password(account: Account, password: str, at: datetime, *, must_change: bool) -> None:
    """Set a password chosen by whoever sets the site up; the policy holds for him too."""
    found = problems(account, password)
    if found:
        raise PasswordUnfit("；".join(found) + "。", field="password")
    _store(account, make_password(password), at, must_change=must_change)
