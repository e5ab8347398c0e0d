"""The second factor (第二因素): setting up an authenticator, codes, recovery codes."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.organisations.models import (
    Account,
    RecoveryCode,
    SecondFactor,
    SignInKind,
)
from kangwei.kernel.organisations.rules import totp
from kangwei.kernel.organisations.services.attempts import prove
from kangwei.kernel.refusals import Refusal

RECOVERY_CODES = 10
#: Without letters and digits that look alike; eight of them are 39 bits, tried five times at most.
RECOVERY_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


class CodeWrong(Refusal):
    code = "organisations.second_factor_wrong"
    title = "动态口令不正确"
    status = 422


class SecondFactorPresent(Refusal):
    code = "organisations.second_factor_present"
    title = "第二因素已启用"


class SecondFactorRequired(Refusal):
    code = "organisations.second_factor_required"
    title = "必须使用第二因素"


def is_enrolled(account: Account) -> bool:
    return SecondFactor.objects.filter(account=account, confirmed_at__isnull=False).exists()


@transaction.atomic
def begin_enrolment(*, account: Account, at: datetime) -> str:
    """The secret to put into the authenticator, base32; the same one until it is confirmed."""
    factor = SecondFactor.objects.filter(account=account).first()
    if factor is None:
        secret = totp.base32(secrets.token_bytes(20))
        factor = SecondFactor.objects.create(account=account, secret=secret, created_at=at)
    if factor.confirmed_at is not None:
        raise SecondFactorPresent("第二因素已启用；更换手机请先停用或请管理员重置。")
    return str(factor.secret)


@transaction.atomic
def confirm_enrolment(*, account: Account, code: str, at: datetime) -> list[str]:
    """Prove the authenticator by a first code; answers the recovery codes, shown once."""
    factor = SecondFactor.objects.select_for_update().filter(account=account).first()
    if factor is None or factor.confirmed_at is not None:
        raise SecondFactorPresent("请刷新页面后重新开始设置。")
    if not _accept(factor, code, at):
        raise CodeWrong("动态口令不正确；请确认手机时间准确，并输入最新的 6 位数字。", field="code")
    factor.confirmed_at = at
    factor.save(update_fields=["confirmed_at"])
    audit.record(act="organisations.second_factor.enrolled", subject=account, by=account, at=at)
    return _new_recovery_codes(account)


def _new_recovery_codes(account: Account) -> list[str]:
    RecoveryCode.objects.filter(account=account).delete()
    codes = []
    for _ in range(RECOVERY_CODES):
        plain = "".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(8))
        RecoveryCode.objects.create(account=account, digest=_digest(plain))
        codes.append(f"{plain[:4]}-{plain[4:]}")
    return codes


def _digest(code: str) -> str:
    return crypto.digest(
        "".join(char for char in code.upper() if char.isalnum()), purpose="recovery-code"
    )


def renew_recovery_codes(*, account: Account, code: str, at: datetime) -> list[str]:
    """New recovery codes against a current code; the old ones stop working."""
    accept_code(account=account, code=code, at=at)
    with transaction.atomic():
        audit.record(act="organisations.second_factor.recovery", subject=account, by=account, at=at)
        return _new_recovery_codes(account)


def remove_second_factor(*, account: Account, code: str, at: datetime) -> None:
    """Stop using it, if no role demands it."""
    if account.second_factor_required:
        raise SecondFactorRequired("您的角色必须使用第二因素，不能停用；更换手机请联系管理员重置。")
    accept_code(account=account, code=code, at=at)
    with transaction.atomic():
        SecondFactor.objects.filter(account=account).delete()
        RecoveryCode.objects.filter(account=account).delete()
        audit.record(act="organisations.second_factor.removed", subject=account, by=account, at=at)


def accept_code(*, account: Account, code: str, at: datetime) -> bool:
    """Somebody signed in proves himself by a code; wrong ones count as failed sign-ins."""
    prove(
        account=account, at=at, kind=SignInKind.FACTOR_FAILURE,
        check=lambda: is_current_code(account=account, code=code, at=at),
        wrong=lambda text: CodeWrong(text, field="code"),
        text="动态口令不正确或已使用，请等待下一个 6 位数字",
    )  # fmt: skip
    return True


@transaction.atomic
def is_current_code(*, account: Account, code: str, at: datetime) -> bool:
    """Is this the code of now, never used before? Accepting it uses it up."""
    factor = (
        SecondFactor.objects.select_for_update()
        .filter(account=account, confirmed_at__isnull=False)
        .first()
    )
    return factor is not None and _accept(factor, code, at)


def _accept(factor: SecondFactor, code: str, at: datetime) -> bool:
    step = totp.accepted_step(
        totp.from_base32(str(factor.secret)),
        code.strip().replace(" ", ""),
        at,
        last_step=factor.last_step,
    )
    if step is None:
        return False
    factor.last_step = step
    factor.save(update_fields=["last_step"])
    return True


@transaction.atomic
def accept_recovery_code(*, account: Account, code: str, at: datetime) -> bool:
    """Use up one recovery code."""
    unused = RecoveryCode.objects.filter(account=account, digest=_digest(code), used_at=None)
    return unused.update(used_at=at) == 1
