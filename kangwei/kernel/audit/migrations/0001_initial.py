from pathlib import Path

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(
            "CREATE EXTENSION IF NOT EXISTS pg_trgm", reverse_sql=migrations.RunSQL.noop
        ),
        # Partitions, triggers and the identity are PostgreSQL's own; Django only reads the tables.
        migrations.RunSQL(
            (Path(__file__).parent / "0001_journal.sql").read_text(encoding="utf-8"),
            reverse_sql=(Path(__file__).parent / "0001_journal_reverse.sql").read_text(
                encoding="utf-8"
            ),
        ),
        migrations.CreateModel(
            name="Anchor",
            fields=[
                (
                    "number",
                    models.BigIntegerField(
                        primary_key=True, serialize=False, verbose_name="锚点号"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("time", "定时"), ("stop", "停机"), ("seal", "封存")],
                        max_length=10,
                        verbose_name="类别",
                    ),
                ),
                ("anchored_at", models.DateTimeField(verbose_name="锚定时间")),
                ("seq", models.BigIntegerField(verbose_name="链序号")),
                ("hash", models.CharField(max_length=64, verbose_name="链摘要")),
                ("line", models.TextField(verbose_name="签名原文")),
                ("digest", models.CharField(max_length=64, verbose_name="原文摘要")),
                ("algorithm", models.CharField(max_length=20, verbose_name="签名算法")),
                ("kid", models.CharField(max_length=32, verbose_name="密钥号")),
                ("signature", models.TextField(verbose_name="签名值")),
            ],
            options={
                "verbose_name": "审计锚点",
                "verbose_name_plural": "审计锚点",
                "db_table": "audit_anchor",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                (
                    "id",
                    models.BigIntegerField(primary_key=True, serialize=False, verbose_name="编号"),
                ),
                ("recorded_at", models.DateTimeField(verbose_name="登记时间")),
                ("occurred_at", models.DateTimeField(verbose_name="业务时间")),
                (
                    "kind",
                    models.CharField(
                        choices=[("act", "操作"), ("change", "数据变更"), ("digest", "分段摘要")],
                        max_length=10,
                        verbose_name="类别",
                    ),
                ),
                ("act", models.CharField(max_length=120, verbose_name="操作")),
                ("act_id", models.UUIDField(null=True, verbose_name="操作标识")),
                ("account_id", models.BigIntegerField(null=True, verbose_name="账号编号")),
                ("account_label", models.CharField(max_length=200, verbose_name="操作人")),
                ("roles", models.CharField(max_length=500, verbose_name="角色")),
                ("channel", models.CharField(max_length=20, verbose_name="渠道")),
                ("address", models.CharField(max_length=64, verbose_name="来源地址")),
                ("session", models.CharField(max_length=64, verbose_name="会话摘要")),
                ("agent", models.CharField(max_length=300, verbose_name="客户端")),
                ("trace_id", models.CharField(max_length=64, verbose_name="跟踪编号")),
                ("object_type", models.CharField(max_length=120, verbose_name="对象类别")),
                ("object_id", models.CharField(max_length=120, verbose_name="对象编号")),
                ("object_label", models.CharField(max_length=200, verbose_name="对象")),
                (
                    "operation",
                    models.CharField(
                        choices=[("I", "新增"), ("U", "修改"), ("D", "删除"), ("T", "清空")],
                        max_length=1,
                        verbose_name="变更方式",
                    ),
                ),
                ("before", models.JSONField(null=True, verbose_name="变更前")),
                ("after", models.JSONField(null=True, verbose_name="变更后")),
                ("detail", models.JSONField(null=True, verbose_name="详情")),
                ("reason", models.TextField(verbose_name="原因")),
                (
                    "result",
                    models.CharField(
                        choices=[("done", "成功"), ("refused", "被拒绝")],
                        max_length=10,
                        verbose_name="结果",
                    ),
                ),
                ("db_user", models.CharField(max_length=64, verbose_name="数据库用户")),
                ("application", models.CharField(max_length=64, verbose_name="应用程序")),
                ("tx", models.BigIntegerField(verbose_name="事务号")),
            ],
            options={
                "verbose_name": "审计日志",
                "verbose_name_plural": "审计日志",
                "db_table": "audit_entry",
                "permissions": [
                    ("export_entry", "导出审计日志"),
                    ("verify_journal", "校验审计日志"),
                ],
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Link",
            fields=[
                (
                    "seq",
                    models.BigIntegerField(primary_key=True, serialize=False, verbose_name="序号"),
                ),
                ("chained_at", models.DateTimeField(verbose_name="入链时间")),
                ("entry_id", models.BigIntegerField(verbose_name="日志编号")),
                ("entry_recorded_at", models.DateTimeField(verbose_name="日志登记时间")),
                ("prev_hash", models.CharField(max_length=64, verbose_name="前一摘要")),
                ("hash", models.CharField(max_length=64, verbose_name="摘要")),
                ("algorithm", models.CharField(max_length=20, verbose_name="算法")),
            ],
            options={
                "verbose_name": "审计链",
                "verbose_name_plural": "审计链",
                "db_table": "audit_link",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                ("month", models.DateField(primary_key=True, serialize=False, verbose_name="月份")),
                ("first_seq", models.BigIntegerField(verbose_name="首个链序号")),
                ("last_seq", models.BigIntegerField(verbose_name="末个链序号")),
                ("entries", models.BigIntegerField(verbose_name="日志条数")),
                ("sealed_at", models.DateTimeField(verbose_name="封存时间")),
                ("purged_at", models.DateTimeField(null=True, verbose_name="清理时间")),
            ],
            options={
                "verbose_name": "封存月份",
                "verbose_name_plural": "封存月份",
                "db_table": "audit_seal",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("started_at", models.DateTimeField(verbose_name="开始时间")),
                ("finished_at", models.DateTimeField(verbose_name="结束时间")),
                ("first_seq", models.BigIntegerField(verbose_name="起始序号")),
                ("last_seq", models.BigIntegerField(verbose_name="截止序号")),
                ("links", models.BigIntegerField(verbose_name="核对条数")),
                ("sound", models.BooleanField(verbose_name="是否完好")),
                ("unchained", models.BigIntegerField(verbose_name="未入链条数")),
                ("findings", models.JSONField(default=list, verbose_name="发现")),
                ("remarks", models.JSONField(default=list, verbose_name="提示")),
            ],
            options={
                "verbose_name": "审计校验记录",
                "verbose_name_plural": "审计校验记录",
                "ordering": ["-started_at"],
                "default_permissions": (),
            },
        ),
    ]
