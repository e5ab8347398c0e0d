"""What may stand in the way of an act on notices (拒绝)."""

from __future__ import annotations

from kangwei.kernel.refusals import Invalid, NotFound, Refusal


class UnknownTemplate(NotFound):
    code = "notices.unknown_template"
    title = "通知模板不存在"


class UnknownWord(Invalid):
    code = "notices.unknown_word"
    title = "模板变量未定义"


class BadChannel(Invalid):
    code = "notices.bad_channel"
    title = "渠道配置有误"


class BadAddress(Invalid):
    code = "notices.bad_address"
    title = "通知地址格式不对"


class BadQuietHours(Invalid):
    code = "notices.bad_quiet_hours"
    title = "免打扰时段有误"


class AddressTaken(Refusal):
    code = "notices.address_taken"
    title = "通知地址已登记"


class NoWay(Refusal):
    code = "notices.no_way"
    title = "没有可用的通知渠道"


class CannotResend(Refusal):
    code = "notices.cannot_resend"
    title = "投递不能重发"


class BadRoster(Invalid):
    code = "notices.bad_roster"
    title = "值班表有误"


class SubstitutionOverlaps(Refusal):
    code = "notices.substitution_overlaps"
    title = "替班时间重叠"


class UnknownPolicy(NotFound):
    code = "notices.unknown_policy"
    title = "升级策略不存在"


class PolicyUnusable(Refusal):
    code = "notices.policy_unusable"
    title = "升级策略不可用"


class BadPolicy(Invalid):
    code = "notices.bad_policy"
    title = "升级策略有误"


class EscalationEnded(Refusal):
    code = "notices.escalation_ended"
    title = "升级已停止"


class AlreadyAcknowledged(Refusal):
    code = "notices.already_acknowledged"
    title = "升级已被认领"


class ReasonMissing(Invalid):
    code = "notices.reason_missing"
    title = "缺少原因"
