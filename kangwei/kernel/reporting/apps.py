"""Start-up of reporting (报表)."""

from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "kangwei.kernel.reporting"
    label = "reporting"
    verbose_name = "报表"

    def ready(self) -> None:
        from kangwei.kernel.api.registry import register_router
        from kangwei.kernel.audit import services as audit
        from kangwei.kernel.notices.registry import Template, Variable, register_template
        from kangwei.kernel.organisations.builtin import register_role_rights

        from . import api, chapter, models, reports, schedules, shell  # noqa: F401  # schedules register
        from .registry import register_report

        audit.register_acts(
            {
                "reporting.snapshot.frozen": "固化报表",
                "reporting.plan.made": "建立固化计划",
                "reporting.plan.stopped": "停用固化计划",
                "reporting.subscription.made": "订阅报表",
                "reporting.subscription.cancelled": "取消报表订阅",
                "reporting.document.generated": "生成文档",
                "reporting.document.refreshed": "文档重新取数",
                "reporting.document.written": "填写文档章节",
                "reporting.document.discarded": "作废文档草稿",
                "reporting.document.sealed": "封存文档",
                "reporting.document.corrected": "更正文档",
                "reporting.template.uploaded": "上传样式模板",
                "reporting.template.retired": "停用样式模板",
            }
        )
        for model in (
            models.SnapshotPlan,
            models.Subscription,
            models.Document,
            models.DocumentSeries,
            models.TypedText,
        ):
            audit.journal(model)
        # Large contents are told apart by their digest; writing them twice would help nobody.
        audit.journal(models.StyleTemplate, hidden=("content",))
        audit.journal(models.DocumentVersion, hidden=("tree",))
        audit.exempt(models.KeptResult, reason="查询结果的一日缓存，到期删除")
        audit.exempt(models.SnapshotChunk, reason="不可修改；内容由固化报表的签名摘要覆盖")
        audit.exempt(models.DocumentFile, reason="不可修改；内容由文档版本的签名摘要覆盖")
        audit.exempt(models.Favourite, reason="个人收藏，只影响本人的显示")
        audit.exempt(models.ColumnChoice, reason="个人列设置，只影响本人的显示")
        audit.segment(
            models.Snapshot._meta.db_table,
            "frozen_at",
            ["id", "report", "version", "cutoff", "rows", "digest", "signature", "frozen_at"],
        )
        audit.segment(
            models.ReportUse._meta.db_table,
            "at",
            ["id", "report", "act", "account_id", "format", "rows", "at"],
        )
        register_template(
            Template(
                code="reporting.subscription",
                name="报表订阅",
                title="{{ report }} 已生成",
                body="您订阅的 **{{ report }}**（{{ conditions }}）已生成，共 {{ rows }} 行，"
                "数据截止 {{ cutoff }}。",
                short="您订阅的{{ report }}已生成，数据截止{{ cutoff }}，请登录查看。",
                variables=(
                    Variable("report", "报表", "账号年审统计"),
                    Variable("conditions", "条件", "2026年10月"),
                    Variable("rows", "行数", "38"),
                    Variable("cutoff", "数据截止", "2026-11-01 08:00"),
                ),
            )
        )
        work = ["reporting.export_report", "reporting.freeze_report"]
        lead = [*work, "reporting.manage_plan", "reporting.subscribe_others"]
        documents = ["reporting.write_document", "reporting.seal_document"]
        administer = [*lead, *documents, "reporting.release_document"]
        register_role_rights(
            {
                "system_admin": [*administer, "reporting.view_usage", "reporting.manage_template"],
                "security_admin": work,
                "auditor": [*work, "reporting.view_usage"],
                "province_admin": [
                    *administer,
                    "reporting.view_usage",
                    "reporting.manage_template",
                ],
                "city_admin": [*administer, "reporting.view_usage"],
                "county_admin": [*administer, "reporting.view_usage"],
                "institution_admin": [*administer, "reporting.view_usage"],
                "project_manager": [*lead, *documents],
                "engineer_first": [*work, "reporting.write_document"],
                "engineer_second": [*work, "reporting.write_document"],
                "customer": work,
            }
        )
        register_report(reports.USAGE)
        register_router("/reports", api.reports)
        register_router("/snapshots", api.snapshots)
        register_router("/documents", api.documents)
        shell.register()
        chapter.register()
