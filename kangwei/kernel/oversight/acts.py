"""What oversight writes into the journal and tells people, in the words of the screens."""

from kangwei.kernel.notices.services import Template, Variable

ACTS = {
    "oversight.campaign.opened": "发起年审批次",
    "oversight.campaign.closed": "结束年审批次",
    "oversight.campaign.cancelled": "撤销年审批次",
    "oversight.accounts.called_up": "账号纳入年审",
    "oversight.account.review_kept": "年审保留账号",
    "oversight.account.review_changed": "年审调整账号角色",
    "oversight.account.review_disabled": "年审停用账号",
    "oversight.account.review_suspended": "逾期未年审暂停账号",
    "oversight.search.saved": "保存常用日志查询",
    "oversight.search.deleted": "删除常用日志查询",
}

REMINDER = Template(
    code="oversight.review_due",
    name="用户年审提醒",
    title="用户年审：{{ institution }}有 {{ count }} 个账号{{ step }}",
    body="{{ institution }}应年审的账号中，有 **{{ count }}** 个{{ step }}（到期日 {{ due_on }}）。"
    "请在“我的年审”中逐个确认；到期后 30 天仍未年审的账号将被暂停。",
    short="用户年审：{{ institution }}有{{ count }}个账号{{ step }}，"
    "到期日{{ due_on }}，请登录处理。",
    variables=(
        Variable("institution", "年审机构", "西安市疾控"),
        Variable("count", "账号数", "12"),
        Variable("due_on", "到期日", "2026-12-31"),
        Variable("step", "提醒阶段", "将于 7 天内到期"),
    ),
)
