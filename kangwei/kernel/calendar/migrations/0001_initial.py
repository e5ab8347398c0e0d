import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Arrangement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("year", models.PositiveSmallIntegerField(verbose_name="年份")),
                ("version", models.PositiveSmallIntegerField(verbose_name="版本")),
                ("title", models.CharField(max_length=100, verbose_name="名称")),
                ("source", models.CharField(max_length=200, verbose_name="来源")),
                ("published_on", models.DateField(verbose_name="发布日期")),
                ("content", models.JSONField(verbose_name="安排")),
                ("file_digest", models.CharField(max_length=64, verbose_name="文件摘要")),
                ("loaded_at", models.DateTimeField(verbose_name="导入时间")),
                ("loaded_by", models.CharField(blank=True, max_length=200, verbose_name="导入人")),
            ],
            options={
                "verbose_name": "节假日安排",
                "verbose_name_plural": "节假日安排",
                "ordering": ["-year", "-version"],
                "permissions": [("manage_calendar", "维护工作日历")],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("year", "version"), name="calendar_arrangement_version_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("version__gte", 1), ("year__gte", 2000), ("year__lte", 2100)
                        ),
                        name="calendar_arrangement_plausible_year",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LocalCalendar",
            fields=[
                (
                    "code",
                    models.CharField(
                        max_length=40,
                        primary_key=True,
                        serialize=False,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z][a-z0-9_-]*$", "代码只能用小写字母、数字、下划线和短横线。"
                            )
                        ],
                        verbose_name="代码",
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="名称")),
            ],
            options={
                "verbose_name": "本地日历",
                "verbose_name_plural": "本地日历",
                "ordering": ["code"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("code", "statutory"), _negated=True),
                        name="calendar_local_is_not_statutory",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Override",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField(verbose_name="日期")),
                ("version", models.PositiveSmallIntegerField(verbose_name="版本")),
                ("working", models.BooleanField(null=True, verbose_name="上班")),
                ("note", models.CharField(max_length=200, verbose_name="说明")),
                ("recorded_at", models.DateTimeField(verbose_name="登记时间")),
                (
                    "recorded_by",
                    models.CharField(blank=True, max_length=200, verbose_name="登记人"),
                ),
                (
                    "calendar",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="calendar.localcalendar",
                        verbose_name="日历",
                    ),
                ),
            ],
            options={
                "verbose_name": "日期调整",
                "verbose_name_plural": "日期调整",
                "ordering": ["-day", "-version"],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("calendar", "day", "version"), name="calendar_override_version_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("note", ""), _negated=True), ("version__gte", 1)
                        ),
                        name="calendar_override_says_why",
                    ),
                ],
            },
        ),
    ]
