"""What organisations tells the journal: names of its acts, and which tables it watches."""

from __future__ import annotations

from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations import models as m
from kangwei.kernel.organisations.queries import right_titles

ACTS = {
    "organisations.region.added": "新增区划",
    "organisations.region.renamed": "区划更名",
    "organisations.region.merged": "合并区划",
    "organisations.region.imported": "导入区划",
    "organisations.institution.created": "新增机构",
    "organisations.institution.changed": "修改机构",
    "organisations.institution.identified": "登记机构编码",
    "organisations.institution.moved": "调整机构隶属",
    "organisations.institution.closed": "停用机构",
    "organisations.institution.reopened": "恢复机构",
    "organisations.institution.merged": "合并机构",
    "organisations.closure.rebuilt": "重建隶属关系",
    "organisations.department.created": "新增科室",
    "organisations.department.changed": "修改科室",
    "organisations.department.closed": "停用科室",
    "organisations.staff.created": "登记人员",
    "organisations.staff.changed": "修改人员",
    "organisations.staff.transferred": "人员调动",
    "organisations.staff.left": "人员离职",
    "organisations.qualification.added": "登记资格证书",
    "organisations.qualification.removed": "删除资格证书",
    "organisations.account.created": "新建账号",
    "organisations.account.changed": "修改账号",
    "organisations.account.disabled": "停用账号",
    "organisations.account.suspended": "暂停账号",
    "organisations.account.enabled": "启用账号",
    "organisations.account.unlocked": "解除锁定",
    "organisations.account.signed_out": "强制下线",
    "organisations.password.changed": "修改密码",
    "organisations.password.reset": "重置密码",
    "organisations.second_factor.enrolled": "启用第二因素",
    "organisations.second_factor.removed": "停用第二因素",
    "organisations.second_factor.reset": "重置第二因素",
    "organisations.second_factor.recovery": "更换恢复码",
    "organisations.signature.changed": "更换手写签名",
    "organisations.role.created": "新建角色",
    "organisations.role.changed": "修改角色",
    "organisations.role.retired": "停用角色",
    "organisations.role.filled": "随版本写入内置数据",
    "organisations.grant.given": "授予角色",
    "organisations.grant.revoked": "收回授权",
    "organisations.grant.lent": "借出授权",
    "organisations.policy.changed": "修改登录安全策略",
    "organisations.import.uploaded": "上传导入表",
    "organisations.import.confirmed": "确认导入",
    "organisations.import.passwords_taken": "领取一次性密码表",
    "organisations.import.discarded": "放弃导入",
}


def register() -> None:
    audit.register_acts(ACTS)
    for model in (
        *(m.Region, m.InstitutionKind, m.Institution, m.InstitutionIdentifier, m.InstitutionParent),
        *(m.Department, m.Staff, m.Employment, m.Qualification, m.Role, m.Grant),
        *(m.Grant.institutions.through, m.Grant.regions.through, m.SecurityPolicy),
    ):
        audit.journal(model)
    audit.name_codes(m.Role, "rights", right_titles)
    audit.journal(m.Account, hidden=("signature",))
    audit.exempt(m.InstitutionClosure, "由隶属关系推算，可随时重建")
    audit.exempt(m.PastPassword, "只存密码摘要，修改密码另有操作记录")
    audit.exempt(m.SecondFactor, "只存密钥与时间步，启用和停用另有操作记录")
    audit.exempt(m.RecoveryCode, "只存摘要，使用时记入登录日志")
    audit.exempt(m.AccountSession, "登录与退出记入登录日志")
    audit.exempt(m.ImportBatch, "上传、确认和放弃另有操作记录")
    audit.exempt(m.ImportRow, "未确认的草稿；确认后写入的行各自留痕")
    # The sign-in journal refuses changes by itself; its hourly digest enters the chain.
    audit.segment(
        m.SignInEvent._meta.db_table,
        "recorded_at",
        ("id", "at", "kind", "username", "account_id", "address", "reason"),
    )
