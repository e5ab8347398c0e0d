"""The templates that notices itself tells with; other apps register their own."""

from __future__ import annotations

from kangwei.kernel.notices.registry import Template, Variable

ESCALATION = Template(
    code="notices.escalation",
    name="升级通知",
    title="【{{ priority }}】{{ subject }} {{ step }}",
    body=(
        "### {{ subject }}\n\n"
        "- **{{ step }}**：{{ level }}\n"
        "- 系统：{{ system }}\n"
        "- 对象：{{ asset }}\n"
        "- 情况：{{ what }}\n"
        "- 数值/阈值：{{ value }}\n"
        "- 开始时间：{{ since }}（已持续 {{ elapsed }}）\n"
        "- 编号：{{ number }}\n\n"
        "[查看并认领]({{ link }})"
    ),
    short="{{ step }}：{{ system }} {{ what }}，始于 {{ since }}，请登录系统认领。",
    variables=(
        Variable("subject", "升级对象", "HIS 数据库连接数过高"),
        Variable("step", "本次通知", "升级通知"),
        Variable("level", "级别", "第 2 级（10 分钟）"),
        Variable("system", "系统", "医院信息系统（HIS）"),
        Variable("asset", "资产", "HIS 主数据库"),
        Variable("what", "情况", "连接数超过阈值"),
        Variable("value", "数值/阈值", "952 / 900"),
        Variable("since", "开始时间", "2026-11-20 18:32"),
        Variable("elapsed", "已持续", "18 分钟"),
        Variable("number", "编号", "A-20261120-0007"),
    ),
)

ESCALATION_STOPPED = Template(
    code="notices.escalation_stopped",
    name="升级结束通知",
    title="【结束】{{ subject }}",
    body=(
        "### {{ subject }} 已结束\n\n"
        "- 原因：{{ reason }}\n"
        "- 操作人：{{ by }}\n"
        "- 开始时间：{{ since }}（共 {{ elapsed }}）\n"
        "- 系统：{{ system }}\n"
        "- 编号：{{ number }}\n\n"
        "[查看详情]({{ link }})"
    ),
    short="{{ subject }}已结束：{{ reason }}。",
    variables=(
        *ESCALATION.variables,
        Variable("reason", "结束原因", "工单已受理"),
        Variable("by", "操作人", "张伟"),
    ),
)

_CHANNEL_WORDS = (
    Variable("channel", "渠道", "省平台运维群"),
    Variable("kind", "类型", "钉钉群机器人"),
    Variable("since", "开始时间", "2026-11-20 18:32"),
    Variable("reason", "最近错误", "连接不上服务地址"),
)

CHANNEL_FAILING = Template(
    code="notices.channel_failing",
    name="渠道故障告警",
    title="通知渠道故障：{{ channel }}",
    body=(
        "### 通知渠道故障：{{ channel }}\n\n"
        "- 类型：{{ kind }}\n"
        "- 开始时间：{{ since }}\n"
        "- 最近错误：{{ reason }}\n\n"
        "该渠道已连续 5 次发送失败，消息改走备用渠道；系统每分钟探测，恢复后自动启用。"
    ),
    short="通知渠道“{{ channel }}”故障，请登录系统处理。",
    variables=_CHANNEL_WORDS,
)

CHANNEL_RECOVERED = Template(
    code="notices.channel_recovered",
    name="渠道恢复通知",
    title="通知渠道已恢复：{{ channel }}",
    body=("### 通知渠道已恢复：{{ channel }}\n\n- 类型：{{ kind }}\n- 故障开始：{{ since }}"),
    short="通知渠道“{{ channel }}”已恢复。",
    variables=_CHANNEL_WORDS,
)

ALL_QUIET = Template(
    code="notices.all_quiet",
    name="每日平安消息",
    title="康维平安消息 {{ day }}：{{ verdict }}",
    body=(
        "### 康维平安消息：{{ verdict }}\n\n"
        "- 统计日期：{{ day }}\n"
        "- 应发 {{ due }} 条，送达 {{ sent }} 条，失败 {{ failed }} 条，迟到 {{ late }} 条\n"
        "- 无有效地址 {{ no_address }} 人次\n"
        "- 故障渠道：{{ failing }}\n"
        "- 进行中的升级：{{ running }} 项"
    ),
    short="康维 {{ day }} {{ verdict }}：失败 {{ failed }} 条，进行中的升级 {{ running }} 项。",
    variables=(
        Variable("day", "统计日期", "2026-11-19"),
        Variable("verdict", "结论", "一切正常"),
        Variable("due", "应发", "128"),
        Variable("sent", "送达", "128"),
        Variable("failed", "失败", "0"),
        Variable("late", "迟到", "0"),
        Variable("no_address", "无有效地址", "3"),
        Variable("failing", "故障渠道", "无"),
        Variable("running", "进行中的升级", "0"),
    ),
)

CHANNEL_TEST = Template(
    code="notices.channel_test",
    name="渠道测试",
    title="康维通知渠道测试",
    body=(
        "### 康维通知渠道测试\n\n"
        "这是渠道“{{ channel }}”的一条测试消息，收到即表示渠道配置正确，无需处理。"
    ),
    short="这是康维通知渠道“{{ channel }}”的一条测试消息，收到即表示配置正确，无需处理。",
    variables=(Variable("channel", "渠道", "省平台运维群"),),
)

ADDRESS_CODE = Template(
    code="notices.address_code",
    name="通知地址验证码",
    title="通知地址验证",
    body="您的康维通知地址验证码是 {{ code }}，{{ minutes }} 分钟内有效。",
    short="您的康维通知地址验证码是 {{ code }}，{{ minutes }} 分钟内有效。",
    variables=(
        Variable("code", "验证码", "******"),
        Variable("minutes", "有效分钟数", "10"),
    ),
)

OWN = (
    ESCALATION,
    ESCALATION_STOPPED,
    CHANNEL_FAILING,
    CHANNEL_RECOVERED,
    ALL_QUIET,
    CHANNEL_TEST,
    ADDRESS_CODE,
)
