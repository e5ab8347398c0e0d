"""What may stand in the way of a review, each named after what happened."""

from __future__ import annotations

from typing import ClassVar

from kangwei.kernel.refusals import NotPermitted, Refusal


class CampaignAlreadyOpen(Refusal):
    code: ClassVar[str] = "oversight.campaign_already_open"
    title: ClassVar[str] = "年审批次已存在"


class CampaignDates(Refusal):
    code: ClassVar[str] = "oversight.campaign_dates"
    title: ClassVar[str] = "年审批次日期有误"
    status: ClassVar[int] = 422


class CampaignNotOpen(Refusal):
    code: ClassVar[str] = "oversight.campaign_not_open"
    title: ClassVar[str] = "年审批次已结束"


class AccountsStillOpen(Refusal):
    code: ClassVar[str] = "oversight.accounts_still_open"
    title: ClassVar[str] = "尚有账号未作结论"


class AlreadyDecided(Refusal):
    code: ClassVar[str] = "oversight.already_decided"
    title: ClassVar[str] = "该账号已由他人审核"


class SelfReview(NotPermitted):
    code: ClassVar[str] = "oversight.self_review"
    title: ClassVar[str] = "不能年审自己的账号"


class NotSuperior(NotPermitted):
    code: ClassVar[str] = "oversight.not_superior"
    title: ClassVar[str] = "只能年审下级机构的账号"


class IdentityNotProved(Refusal):
    code: ClassVar[str] = "oversight.identity_not_proved"
    title: ClassVar[str] = "签名验证未通过"
    status: ClassVar[int] = 422


class ReasonMissing(Refusal):
    code: ClassVar[str] = "oversight.reason_missing"
    title: ClassVar[str] = "缺少理由"
    status: ClassVar[int] = 422


class NothingChanged(Refusal):
    code: ClassVar[str] = "oversight.nothing_changed"
    title: ClassVar[str] = "没有填写要调整的内容"
    status: ClassVar[int] = 422


class AccountUnusable(Refusal):
    code: ClassVar[str] = "oversight.account_unusable"
    title: ClassVar[str] = "账号已停用"


class NotForBulk(Refusal):
    """Some of the chosen accounts may not be confirmed in bulk; each is named with why."""

    code: ClassVar[str] = "oversight.not_for_bulk"
    title: ClassVar[str] = "部分账号不能批量确认"

    def __init__(self, rows: list[tuple[str, list[str]]], *, chosen: int) -> None:
        self.rows = rows
        named = "；".join(f"{name}（{'、'.join(why)}）" for name, why in rows[:20])
        more = f"；另有 {len(rows) - 20} 个" if len(rows) > 20 else ""
        super().__init__(
            f"所选 {chosen} 个账号中有 {len(rows)} 个不能批量确认：{named}{more}。"
            "请取消勾选后重试，并逐个年审这些账号。"
        )
