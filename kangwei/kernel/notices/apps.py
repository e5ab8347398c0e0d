"""Start-up of notices (通知)."""

from datetime import timedelta

from django.apps import AppConfig

#: The least age a site may set for putting notices away. Older hours are not recomputed when the
#: journal is verified, so that a setting changed twice is not taken for a forgery.
LEAST_KEPT = timedelta(days=180)


class NoticesConfig(AppConfig):
    name = "kangwei.kernel.notices"
    label = "notices"
    verbose_name = "通知"

    def ready(self) -> None:
        from kangwei.kernel.api.registry import register_router
        from kangwei.kernel.audit import services as audit
        from kangwei.kernel.notices import api, demonstration, face, models, schedules, texts
        from kangwei.kernel.notices.registry import register_template

        assert schedules.minute  # importing registers the schedules
        for template in texts.OWN:
            register_template(template)
        audit.register_acts(ACTS)
        face.register()
        demonstration.register()
        register_router("/notices", api.router)
        for model, hidden in (
            (models.Channel, ()),
            (models.Address, ("code_digest",)),
            (models.ChannelPreference, ()),
            (models.QuietHours, ()),
            (models.TemplateVersion, ()),
            (models.DutyRoster, ()),
            (models.RosterTurn, ()),
            (models.Substitution, ()),
            (models.EscalationPolicy, ()),
            (models.EscalationLevel, ()),
            (models.EscalationTarget, ()),
        ):
            audit.journal(model, hidden=hidden)
        audit.journal(models.Channel.keepers.through)
        audit.journal(models.Watch.channels.through)
        audit.exempt(models.Watch, "每分钟更新心跳结果；设置的修改由操作记录留痕。")
        audit.exempt(models.ChannelHealth, "渠道运行状态，每次发送都会变化；故障与恢复有操作记录。")
        audit.exempt(models.Delivery, "投递状态随发送变化，事实在发送尝试台账中，按小时入链。")
        audit.exempt(models.Escalation, "升级状态可由升级记录台账重建，该台账按小时入链。")
        audit.segment(
            "notices_notice",
            "recorded_at",
            ("key", "template", "title", "body", "priority", "at"),
            kept_for=LEAST_KEPT,
        )
        audit.segment(
            "notices_attempt",
            "recorded_at",
            ("delivery_id", "number", "channel_id", "at", "verdict", "response_code"),
            kept_for=LEAST_KEPT,
        )
        audit.segment(
            "notices_escalationevent",
            "recorded_at",
            ("escalation_id", "kind", "at", "level", "by_id"),
            kept_for=LEAST_KEPT,
        )


ACTS = {
    "notices.channel.saved": "保存通知渠道",
    "notices.channel.tested": "测试通知渠道",
    "notices.channel_failing": "通知渠道故障",
    "notices.channel_recovered": "通知渠道恢复",
    "notices.template.edited": "修改通知模板",
    "notices.watch.saved": "保存守望设置",
    "notices.address.added": "登记通知地址",
    "notices.address.code_sent": "发送地址验证码",
    "notices.address.verified": "验证通知地址",
    "notices.address.removed": "删除通知地址",
    "notices.preferences.set": "设置接收偏好",
    "notices.quiet_hours.set": "设置免打扰时段",
    "notices.delivery.resent": "重新发送通知",
    "notices.purged": "清理过期通知",
    "notices.roster.saved": "保存值班表",
    "notices.substitution.added": "登记替班",
    "notices.substitution.cancelled": "撤销替班",
    "notices.policy.saved": "保存升级策略",
    "notices.escalation.acknowledged": "认领升级",
    "notices.escalation.stopped": "停止升级",
}
