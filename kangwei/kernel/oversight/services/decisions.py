"""Decisions (年审结论): keep, change or disable, signed by the superior institution."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import Account, Institution, Region, Role
from kangwei.kernel.organisations.services import sign_in
from kangwei.kernel.oversight import queries, snapshots
from kangwei.kernel.oversight.models import REVIEW_RIGHT, ReviewEvent, ReviewItem
from kangwei.kernel.oversight.refusals import (
    AccountUnusable,
    AlreadyDecided,
    CampaignNotOpen,
    IdentityNotProved,
    NotForBulk,
    NothingChanged,
    NotSuperior,
    ReasonMissing,
    SelfReview,
)
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Decision
from kangwei.kernel.oversight.services.ledger import note
from kangwei.kernel.refusals import Invalid, NotFound


@dataclass(frozen=True)
class Proof:
    """What the reviewer enters to sign: the password again, or a code of the second factor."""

    password: str = ""
    code: str = ""

    @property
    def method(self) -> str:
        return ReviewItem.Method.SECOND_FACTOR if self.code else ReviewItem.Method.PASSWORD


@dataclass(frozen=True)
class NewGrant:
    """A role to give: with its targets, and until when."""

    role: Role
    institutions: Sequence[Institution] = ()
    regions: Sequence[Region] = ()
    valid_until: datetime | None = None


@dataclass(frozen=True)
class Change:
    """What is to become of the account's roles: grants to take back, roles to give."""

    revoke: frozenset[int] = frozenset()
    give: Sequence[NewGrant] = ()

    def __bool__(self) -> bool:
        return bool(self.revoke or self.give)


def decide(
    *,
    item: ReviewItem,
    decision: Decision,
    by: Account,
    at: datetime,
    proof: Proof,
    reason: str = "",
    change: Change | None = None,
) -> ReviewItem:
    """Decide about one account and sign: keep it, change its roles, or disable it.

    Two reviewers at once are told apart by the row's lock: one decides, the other is told who did.
    A decision to keep or change a suspended account brings it back, and needs a reason.
    """
    _prove(by, proof, at)
    return _decide(
        item=item,
        decision=decision,
        by=by,
        at=at,
        method=proof.method,
        reason=reason,
        change=change,
    )


@transaction.atomic
def _decide(
    *,
    item: ReviewItem,
    decision: Decision,
    by: Account,
    at: datetime,
    method: str,
    reason: str = "",
    change: Change | None = None,
    in_bulk: bool = False,
) -> ReviewItem:
    item = claim(item)
    account = item.account
    require_reviewer(item=item, by=by)
    reason = reason.strip()
    name = f"{account.name}（{account.username}）"
    if decision is not Decision.KEEP and not reason:
        raise ReasonMissing(
            f"对 {name} 作“{review.DECISION_WORDS[decision]}”须填写理由。", field="reason"
        )
    if account.state == "disabled" and decision is not Decision.DISABLE:
        raise AccountUnusable(f"{name} 已停用，只能作“停用”结论；需要恢复时请先由管理员启用账号。")
    if item.suspended_at and decision is not Decision.DISABLE:
        if not reason:
            raise ReasonMissing(f"{name} 已因逾期暂停，恢复使用须填写理由。", field="reason")
        if account.state == "suspended":
            organisations.lift_suspension(account=account, by=by, at=at, reason=reason)
    if decision is Decision.CHANGE:
        if not change:
            raise NothingChanged("请选择要收回的角色或要增加的角色；不需要调整时请选择“保留”。")
        _change_roles(account, change, by=by, at=at, reason=reason)
    if decision is Decision.DISABLE and account.state != "disabled":
        organisations.disable_account(account=account, by=by, at=at, reason=f"用户年审：{reason}")
    brought_back = item.suspended_at is not None and decision is not Decision.DISABLE
    account.refresh_from_db()
    item.decision = decision
    item.reason, item.in_bulk = reason, in_bulk
    item.decided_at, item.decided_by = at, by
    item.decided_snapshot = snapshots.take(account, at=at)
    item.signed_with = method
    item.signed_text = signed_text(item)
    item.signature = sealed(item.signed_text)
    item.save(update_fields=DECISION_COLUMNS)
    if brought_back:
        note(item, ReviewEvent.Kind.REACTIVATED, at=at, by=by, reason=reason)
    note(
        item,
        ReviewEvent.Kind.DECIDED,
        at=at,
        by=by,
        reason=reason,
        detail={
            "decision": item.decision,
            "in_bulk": in_bulk,
            "signed_with": method,
            "signed_text": item.signed_text,
            "signature": item.signature,
            "decided_snapshot": item.decided_snapshot,
        },
    )
    audit.record(
        act=f"oversight.account.{DECIDED_ACTS[decision]}",
        subject=account,
        by=by,
        at=at,
        reason=reason,
        detail={"campaign": item.campaign.title, "in_bulk": in_bulk},
    )
    return item


DECISION_COLUMNS = [
    "decision", "reason", "in_bulk", "decided_at", "decided_by",
    "decided_snapshot", "signed_with", "signed_text", "signature",
]  # fmt: skip
DECIDED_ACTS = {
    Decision.KEEP: "review_kept",
    Decision.CHANGE: "review_changed",
    Decision.DISABLE: "review_disabled",
}


def confirm_in_bulk(
    *, items: Sequence[ReviewItem], by: Account, at: datetime, proof: Proof
) -> list[ReviewItem]:
    """Keep many accounts with one signature each; only where nothing changed and nothing is odd.

    One account that does not qualify stops all, and is named: a bulk confirmation is a statement
    about every one of them.
    """
    if not items:
        raise Invalid("请先勾选要确认的账号。", field="items")
    _prove(by, proof, at)
    with transaction.atomic():
        now = snapshots.take_many([item.account_id for item in items], at=at)
        reviewed = queries.last_powers([item.account_id for item in items])
        refused = []
        for item in items:
            obstacles = review.bulk_obstacles(
                reviewed=reviewed.get(item.account_id),
                now=snapshots.powers(now[item.account_id]),
                exceptions=snapshots.findings(now[item.account_id]),
            )
            if item.suspended_at:
                obstacles.append("已逾期暂停")
            if obstacles:
                refused.append((item.snapshot["name"], obstacles))
        if refused:
            raise NotForBulk(refused, chosen=len(items))
        return [
            _decide(
                item=item, decision=Decision.KEEP, by=by, at=at, method=proof.method, in_bulk=True
            )
            for item in sorted(items, key=lambda item: item.pk)  # one order, so no deadlock
        ]


def claim(item: ReviewItem) -> ReviewItem:
    """Lock the item for its decision; whoever comes second is told who was first."""
    locked = (
        ReviewItem.objects.select_for_update(of=("self",))
        .select_related("account__institution", "campaign", "institution", "decided_by")
        .get(pk=item.pk)
    )
    if locked.decision:
        word = review.DECISION_WORDS[Decision(locked.decision)]
        when = f"{locked.decided_at.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}"  # type: ignore[union-attr]
        raise AlreadyDecided(
            f"{locked.account.name}（{locked.account.username}）已由 {locked.decided_by} 于 {when} "
            f"作出“{word}”结论，无需重复审核。"
        )
    if locked.withdrawn:
        raise CampaignNotOpen(f"{locked.account.name} 已随批次“{locked.campaign.title}”撤出年审。")
    return locked


def require_reviewer(*, item: ReviewItem, by: Account) -> None:
    """May this person decide? Never about oneself, and only from above."""
    if item.account_id == by.pk:
        raise SelfReview("不能年审自己的账号，请由上级机构的其他人员审核。")
    if not by.scope(REVIEW_RIGHT).includes(item.institution_id):
        raise NotFound("没有找到该年审账号，或它不在您的年审范围内。")
    if not queries.is_superior(by.institution_id, item.institution_id):
        raise NotSuperior(
            f"{item.account.name} 属于 {item.institution}，只能由其上级机构的人员年审；"
            f"您所在的 {by.institution} 不是它的上级机构。"
        )


def _prove(by: Account, proof: Proof, at: datetime) -> None:
    if not (proof.password or proof.code):
        raise IdentityNotProved("请输入您的登录密码或动态口令完成电子签名。", field="password")
    # The rules of signing in hold here, too: failures are counted and lock the account.
    visitor = sign_in.Visitor(audit.current_origin().address, audit.current_origin().agent)
    try:
        if proof.code:
            sign_in.sign_in_by_code(account=by, code=proof.code, visitor=visitor, at=at)
        else:
            sign_in.sign_in_by_password(
                username=by.username, password=proof.password, visitor=visitor, at=at
            )
    except sign_in.SignInFailed as failed:
        unproved = IdentityNotProved(
            "密码或动态口令不正确，年审结论未保存；请重新输入。",
            field="code" if proof.code else "password",
        )
        unproved.write_again = failed.write_again
        raise unproved from None


def _change_roles(
    account: Account, change: Change, *, by: Account, at: datetime, reason: str
) -> None:
    grants = {grant.pk: grant for grant in account.grants.in_force(at)}
    foreign = change.revoke - grants.keys()
    if foreign:
        raise Invalid("要收回的角色已不在该账号名下，请刷新页面后重试。", field="revoke")
    for grant_id in sorted(change.revoke):
        organisations.revoke_grant(
            grant=grants[grant_id], by=by, at=at, reason=f"用户年审：{reason}"
        )
    for new in change.give:
        organisations.grant_role(
            account=account,
            role=new.role,
            institutions=new.institutions,
            regions=new.regions,
            valid_from=at,
            valid_until=new.valid_until,
            by=by,
            at=at,
            reason=f"用户年审：{reason}",
        )
    account.forget_access()


def signed_text(item: ReviewItem) -> str:
    """The decision in the one form that is signed: sorted JSON without spaces."""
    facts = {
        "account": item.account_id,
        "username": item.snapshot["username"],
        "institution": item.snapshot["institution"]["code"],
        "campaign": item.campaign_id,
        "decision": str(item.decision),
        "reason": item.reason,
        "in_bulk": item.in_bulk,
        "seen": crypto.sm3(canonical(item.snapshot)),
        "left": crypto.sm3(canonical(item.decided_snapshot)),
        "reviewer": item.decided_by_id,
        "decided_at": item.decided_at.isoformat() if item.decided_at else "",
        "signed_with": str(item.signed_with),
    }
    return canonical(facts).decode()


def canonical(facts: Any) -> bytes:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def sealed(text: str) -> str:
    signature = crypto.sign(text.encode())
    return f"{signature.algorithm}:{signature.kid}:{signature.value}"


def signature_holds(item: ReviewItem) -> bool:
    """Does the row still say what was signed, and did this platform sign it?"""
    if not item.decision or item.signature.count(":") != 2:
        return False
    signature = crypto.Signature(*item.signature.split(":"))
    return item.signed_text == signed_text(item) and crypto.verify(
        item.signed_text.encode(), signature
    )
