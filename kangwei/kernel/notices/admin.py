"""Lists of notices (列表): each row leads to its work page, where the acts are."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from kangwei.kernel.notices.models import (
    Address,
    Channel,
    Delivery,
    DutyRoster,
    Escalation,
    EscalationPolicy,
)
from kangwei.kernel.notices.views.supervision import TONES
from kangwei.kernel.organisations.admin import PagedAdmin
from kangwei.kernel.screens.admin import LedgerAdmin


@admin.register(Channel)
class ChannelAdmin(PagedAdmin):
    list_display = (
        "name", "kind", "institution", "health_title", "tested", "per_minute", "fallback",
        "enabled", "proof_title",
    )  # fmt: skip
    list_filter = ("kind", "enabled", "institution")
    list_select_related = ("institution", "health", "fallback")
    search_fields = ("name",)
    empty_hint = "还没有通知渠道。站内消息不需要渠道；要发到群、手机或邮箱，请新增渠道。"
    page_view, create_view = "notices:channel", "notices:new_channel"
    create_right = "notices.manage_channel"

    @admin.display(description="状态")
    def health_title(self, row: Channel) -> str:
        return row.health.title

    @admin.display(description="最近测试成功")
    def tested(self, row: Channel) -> Any:
        return row.health.tested_at

    @admin.display(description="验证情况")
    def proof_title(self, row: Channel) -> str:
        return row.proof or "—"


@admin.register(DutyRoster)
class DutyRosterAdmin(PagedAdmin):
    list_display = ("name", "code", "institution", "rotation", "handover", "starts_on", "enabled")
    list_filter = ("rotation", "enabled", "institution")
    list_select_related = ("institution",)
    search_fields = ("name", "code")
    empty_hint = "还没有值班表。建立后，升级策略可以通知当班人。"
    page_view, create_view = "notices:roster", "notices:new_roster"
    create_right = "notices.manage_dutyroster"


@admin.register(EscalationPolicy)
class EscalationPolicyAdmin(PagedAdmin):
    list_display = (
        "name", "code", "institution", "priority", "acknowledged_for", "repeat_every", "version",
        "enabled",
    )  # fmt: skip
    list_filter = ("priority", "enabled", "institution")
    list_select_related = ("institution",)
    search_fields = ("name", "code")
    empty_hint = "还没有升级策略。告警、工单和冷链按策略逐级通知。"
    page_view, create_view = "notices:policy", "notices:new_policy"
    create_right = "notices.manage_escalationpolicy"


@admin.register(Escalation)
class EscalationAdmin(PagedAdmin):
    list_display = (
        "subject_label", "policy", "institution", "shown_state", "level", "acknowledged_by",
        "started_at", "next_at",
    )  # fmt: skip
    list_filter = ("policy", "institution", "started_at", "stopped_at")
    list_select_related = ("policy", "institution", "acknowledged_by")
    search_fields = ("subject_label",)
    empty_hint = "没有升级记录。"
    page_view = "notices:escalation"

    @admin.display(description="状态")
    def shown_state(self, row: Escalation) -> str:
        return row.state_title


@admin.register(Delivery)
class DeliveryAdmin(PagedAdmin):
    list_display = (
        "notice", "kind", "channel", "shown", "priority", "state", "late", "due_at", "sent_at",
        "reason",
    )  # fmt: skip
    list_filter = ("kind", "state", "why", "priority", "due_at", "institution")
    list_select_related = ("notice", "channel")
    search_fields = ("notice__title", "shown")
    badges: ClassVar[dict[str, dict[str, str]]] = {"state": TONES}
    empty_hint = "没有符合条件的投递。"
    page_view = "notices:delivery"


@admin.register(Address)
class AddressAdmin(LedgerAdmin):
    list_display = ("account", "kind", "shown", "verified_at", "enabled")
    list_filter = ("kind", "enabled", "verified_at")
    list_select_related = ("account",)
    search_fields = ("account__name", "account__username")
    fields = ("account", "kind", "shown", "verified_at", "enabled")
    empty_hint = "没有登记通知地址。各人在“通知设置”中登记并验证。"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("notices.view_address"))
