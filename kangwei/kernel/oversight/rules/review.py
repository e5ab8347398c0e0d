"""When must an account be confirmed again, and what stands in the way? (用户年审)

Every account is confirmed once a year by its superior institution. The due date is a year after
the last confirmation, or after the account was created. A campaign (年审批次) may call an account
earlier, never later, and never with less than thirty days of notice. Thirty days after an unused
due date the account is suspended, not deleted; its superior may bring it back with a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, StrEnum

#: An account is named "due" this long before its date; also the shortest notice a reviewer gets.
NOTICE = timedelta(days=30)
#: An account nobody looked at is suspended this long after its date.
GRACE = timedelta(days=30)
#: An account unused for longer than this is an exception (长期未登录).
DORMANT = timedelta(days=90)
#: A new account has this long for its first sign-in before that is an exception.
FIRST_SIGN_IN = timedelta(days=30)


class Decision(StrEnum):
    """What the superior institution decided about one account."""

    KEEP = "keep"
    CHANGE = "change"
    DISABLE = "disable"


class State(StrEnum):
    """Where the review of one account stands."""

    NORMAL = "normal"
    DUE = "due"
    OVERDUE = "overdue"
    CONFIRMED = "confirmed"
    SUSPENDED = "suspended"
    DISABLED = "disabled"


DECISION_WORDS = {
    Decision.KEEP: "保留",
    Decision.CHANGE: "调整",
    Decision.DISABLE: "停用",
}
STATE_WORDS = {
    State.NORMAL: "未到期",
    State.DUE: "待年审",
    State.OVERDUE: "已逾期",
    State.CONFIRMED: "已确认",
    State.SUSPENDED: "已暂停",
    State.DISABLED: "已停用",
}


def year_after(day: date) -> date:
    """The same day next year; 29 February is followed by 28 February, a day early, never late."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)


def natural_due_on(*, created_on: date, confirmed_on: date | None) -> date:
    """The date that follows from the account's own history."""
    return year_after(confirmed_on or created_on)


def due_on(*, natural: date, opens_on: date, campaign_due_on: date | None) -> date:
    """The date by which an account called up on `opens_on` must be decided.

    Nobody gets less than the notice, and no account of a campaign is due after the campaign.
    """
    due = max(natural, opens_on + NOTICE)
    return due if campaign_due_on is None else min(due, campaign_due_on)


def state(
    *, due: date, today: date, decision: Decision | None = None, suspended: bool = False
) -> State:
    """The state of one account's review on a day."""
    if decision is Decision.DISABLE:
        return State.DISABLED
    if decision is not None:
        return State.CONFIRMED
    if suspended:
        return State.SUSPENDED
    if today > due:
        return State.OVERDUE
    return State.DUE if today >= due - NOTICE else State.NORMAL


def must_suspend(*, due: date, today: date) -> bool:
    """Has the grace after an unused due date passed?"""
    return today >= due + GRACE


class Reminder(Enum):
    """One step of the reminders; its value is the offset in days from the due date."""

    MONTH_BEFORE = -30
    WEEK_BEFORE = -7
    ON_THE_DAY = 0
    TWO_WEEKS_AFTER = 15
    LAST_CALL = 25


REMINDER_WORDS = {
    Reminder.MONTH_BEFORE: "将于 30 天内到期",
    Reminder.WEEK_BEFORE: "将于 7 天内到期",
    Reminder.ON_THE_DAY: "今天到期",
    Reminder.TWO_WEEKS_AFTER: "已逾期 15 天",
    Reminder.LAST_CALL: "已逾期 25 天，5 天后账号将被暂停",
}


def reminder(*, due: date, today: date) -> Reminder | None:
    """The step that holds today: the last one reached, so a missed day is made good the next.

    Before the first step nothing is said; from the suspension on nothing remains to be said.
    """
    if must_suspend(due=due, today=today):
        return None
    reached = [step for step in Reminder if today >= due + timedelta(days=step.value)]
    return max(reached, key=lambda step: step.value) if reached else None


class Finding(StrEnum):
    """Why an account deserves a closer look (例外)."""

    STAFF_LEFT = "staff_left"
    NO_STAFF = "no_staff"
    QUALIFICATION_EXPIRED = "qualification_expired"
    NEVER_SIGNED_IN = "never_signed_in"
    DORMANT = "dormant"
    WIDE_SCOPE = "wide_scope"
    SHARED_PHONE = "shared_phone"
    PRIVILEGED = "privileged"


FINDING_WORDS = {
    Finding.STAFF_LEFT: "人员已离开机构",
    Finding.NO_STAFF: "未关联人员",
    Finding.QUALIFICATION_EXPIRED: "资质已过期",
    Finding.NEVER_SIGNED_IN: "从未登录",
    Finding.DORMANT: "超过 90 天未登录",
    Finding.WIDE_SCOPE: "数据范围超出本机构及下级",
    Finding.SHARED_PHONE: "手机号与其他账号相同",
    Finding.PRIVILEGED: "含特权",
}


@dataclass(frozen=True)
class Facts:
    """What is known of an account when it is looked at."""

    created_at: datetime
    last_sign_in_at: datetime | None
    has_staff: bool
    staff_left: bool
    expired_qualifications: Sequence[str]
    scope_within_subtree: bool
    shares_phone: bool
    privileged: bool


def findings(facts: Facts, *, at: datetime) -> list[Finding]:
    """Every reason for a closer look, in the order of the list above."""
    used = facts.last_sign_in_at
    holds = {
        Finding.STAFF_LEFT: facts.staff_left,
        Finding.NO_STAFF: not facts.has_staff,
        Finding.QUALIFICATION_EXPIRED: bool(facts.expired_qualifications),
        Finding.NEVER_SIGNED_IN: used is None and at - facts.created_at > FIRST_SIGN_IN,
        Finding.DORMANT: used is not None and at - used > DORMANT,
        Finding.WIDE_SCOPE: not facts.scope_within_subtree,
        Finding.SHARED_PHONE: facts.shares_phone,
        Finding.PRIVILEGED: facts.privileged,
    }
    return [finding for finding in Finding if holds[finding]]


@dataclass(frozen=True)
class Powers:
    """What an account may do, frozen for comparison: grants in words, and the rights they give."""

    grants: frozenset[str]
    rights: frozenset[str]


@dataclass(frozen=True)
class PowersDifference:
    """What changed between two reviews."""

    grants_added: tuple[str, ...]
    grants_removed: tuple[str, ...]
    rights_added: tuple[str, ...]
    rights_removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(
            self.grants_added or self.grants_removed or self.rights_added or self.rights_removed
        )


def compare(before: Powers, after: Powers) -> PowersDifference:
    """Grants and rights won and lost since the last review."""
    return PowersDifference(
        grants_added=tuple(sorted(after.grants - before.grants)),
        grants_removed=tuple(sorted(before.grants - after.grants)),
        rights_added=tuple(sorted(after.rights - before.rights)),
        rights_removed=tuple(sorted(before.rights - after.rights)),
    )


def bulk_obstacles(
    *, reviewed: Powers | None, now: Powers, exceptions: Collection[Finding]
) -> list[str]:
    """Why this account may not be confirmed in bulk; empty when it may.

    Bulk confirmation is only for accounts about which nothing changed: the same grants and rights
    as at the last review, and no reason for a closer look.
    """
    obstacles = []
    if reviewed is None:
        obstacles.append("首次年审")
    elif compare(reviewed, now):
        obstacles.append("角色或权限自上次年审后有变化")
    obstacles += [FINDING_WORDS[finding] for finding in Finding if finding in set(exceptions)]
    return obstacles
