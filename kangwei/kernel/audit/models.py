"""Tables of the journal (审计日志).

The first migration writes them in SQL (partitions, triggers, identity), so Django only reads
them: nothing here can update or delete.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.db import models

from kangwei.kernel import clock


class AppendOnly(models.QuerySet[Any]):
    """A ledger's rows are written once, through services; everything else is a mistake."""

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError("审计日志只能追加，不能修改或删除。")

    update = delete = create = bulk_create = bulk_update = _refuse
    get_or_create = update_or_create = _refuse


class Entry(models.Model):
    """One line of the journal: an act somebody did, or a row that changed under it."""

    class Kind(models.TextChoices):
        ACT = "act", "操作"
        CHANGE = "change", "数据变更"
        DIGEST = "digest", "分段摘要"

    class Result(models.TextChoices):
        DONE = "done", "成功"
        REFUSED = "refused", "被拒绝"

    class Operation(models.TextChoices):
        INSERT = "I", "新增"
        UPDATE = "U", "修改"
        DELETE = "D", "删除"
        TRUNCATE = "T", "清空"

    id = models.BigIntegerField("编号", primary_key=True)
    recorded_at = models.DateTimeField("登记时间")
    occurred_at = models.DateTimeField("业务时间")
    kind = models.CharField("类别", max_length=10, choices=Kind)
    act = models.CharField("操作", max_length=120)
    act_id = models.UUIDField("操作标识", null=True)
    account_id = models.BigIntegerField("账号编号", null=True)
    account_label = models.CharField("操作人", max_length=200)
    roles = models.CharField("角色", max_length=500)
    channel = models.CharField("渠道", max_length=20)
    address = models.CharField("来源地址", max_length=64)
    session = models.CharField("会话摘要", max_length=64)
    agent = models.CharField("客户端", max_length=300)
    trace_id = models.CharField("跟踪编号", max_length=64)
    object_type = models.CharField("对象类别", max_length=120)
    object_id = models.CharField("对象编号", max_length=120)
    object_label = models.CharField("对象", max_length=200)
    operation = models.CharField("变更方式", max_length=1, choices=Operation)
    before = models.JSONField("变更前", null=True)
    after = models.JSONField("变更后", null=True)
    detail = models.JSONField("详情", null=True)
    reason = models.TextField("原因")
    result = models.CharField("结果", max_length=10, choices=Result)
    db_user = models.CharField("数据库用户", max_length=64)
    application = models.CharField("应用程序", max_length=64)
    tx = models.BigIntegerField("事务号")

    objects: ClassVar[models.Manager[Any]] = AppendOnly.as_manager()

    class Meta:
        managed = False
        db_table = "audit_entry"
        verbose_name = verbose_name_plural = "审计日志"
        default_permissions = ("view",)
        permissions = [
            ("export_entry", "导出审计日志"),
            ("verify_journal", "校验审计日志"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} #{self.pk}"


class Link(models.Model):
    """One link of the chain (链): binds one entry to all that were chained before it."""

    seq = models.BigIntegerField("序号", primary_key=True)
    chained_at = models.DateTimeField("入链时间")
    entry_id = models.BigIntegerField("日志编号")
    entry_recorded_at = models.DateTimeField("日志登记时间")
    prev_hash = models.CharField("前一摘要", max_length=64)
    hash = models.CharField("摘要", max_length=64)
    algorithm = models.CharField("算法", max_length=20)

    objects: ClassVar[models.Manager[Any]] = AppendOnly.as_manager()

    class Meta:
        managed = False
        db_table = "audit_link"
        verbose_name = verbose_name_plural = "审计链"
        default_permissions = ()

    def __str__(self) -> str:
        return f"链 #{self.seq}"


class Anchor(models.Model):
    """A signed copy of the chain's head (锚点), also written to a file outside the database."""

    class Kind(models.TextChoices):
        TIME = "time", "定时"
        STOP = "stop", "停机"
        SEAL = "seal", "封存"

    number = models.BigIntegerField("锚点号", primary_key=True)
    kind = models.CharField("类别", max_length=10, choices=Kind)
    anchored_at = models.DateTimeField("锚定时间")
    seq = models.BigIntegerField("链序号")
    hash = models.CharField("链摘要", max_length=64)
    line = models.TextField("签名原文")
    digest = models.CharField("原文摘要", max_length=64)
    algorithm = models.CharField("签名算法", max_length=20)
    kid = models.CharField("密钥号", max_length=32)
    signature = models.TextField("签名值")

    objects: ClassVar[models.Manager[Any]] = AppendOnly.as_manager()

    class Meta:
        managed = False
        db_table = "audit_anchor"
        verbose_name = verbose_name_plural = "审计锚点"
        default_permissions = ()

    def __str__(self) -> str:
        return f"锚点 #{self.number}"


class Seal(models.Model):
    """A month closed by a final anchor (封存); its rows may later be put away, the anchor stays."""

    month = models.DateField("月份", primary_key=True)
    anchor = models.ForeignKey(
        Anchor, models.DO_NOTHING, db_column="anchor", verbose_name="锚点", related_name="+"
    )
    first_seq = models.BigIntegerField("首个链序号")
    last_seq = models.BigIntegerField("末个链序号")
    entries = models.BigIntegerField("日志条数")
    sealed_at = models.DateTimeField("封存时间")
    purged_at = models.DateTimeField("清理时间", null=True)

    class Meta:
        managed = False
        db_table = "audit_seal"
        verbose_name = verbose_name_plural = "封存月份"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class Verification(models.Model):
    """One run of `audit verify` (校验) and what it found."""

    started_at = models.DateTimeField("开始时间")
    finished_at = models.DateTimeField("结束时间")
    first_seq = models.BigIntegerField("起始序号")
    last_seq = models.BigIntegerField("截止序号")
    links = models.BigIntegerField("核对条数")
    sound = models.BooleanField("是否完好")
    unchained = models.BigIntegerField("未入链条数")
    findings = models.JSONField("发现", default=list)
    remarks = models.JSONField("提示", default=list)

    class Meta:
        verbose_name = verbose_name_plural = "审计校验记录"
        default_permissions = ()
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{clock.local(self.started_at):%Y-%m-%d %H:%M} {'完好' if self.sound else '异常'}"
