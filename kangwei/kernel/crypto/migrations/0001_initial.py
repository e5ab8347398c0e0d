from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # Counts encryptions in blocks; a sequence, because no rollback turns it back.
        migrations.RunSQL(
            "CREATE SEQUENCE crypto_use_block", reverse_sql="DROP SEQUENCE crypto_use_block"
        ),
        migrations.CreateModel(
            name="Key",
            fields=[
                (
                    "kid",
                    models.CharField(
                        max_length=32, primary_key=True, serialize=False, verbose_name="密钥号"
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("field", "字段加密"),
                            ("digest", "检索摘要"),
                            ("signing", "签名"),
                        ],
                        max_length=10,
                        verbose_name="用途",
                    ),
                ),
                ("algorithm", models.CharField(max_length=20, verbose_name="算法")),
                (
                    "state",
                    models.CharField(
                        choices=[("active", "使用中"), ("retired", "已停用（仅解密、验签）")],
                        default="active",
                        max_length=10,
                        verbose_name="状态",
                    ),
                ),
                ("wrapped", models.TextField(verbose_name="密钥密文")),
                ("public", models.TextField(blank=True, verbose_name="公钥")),
                ("created_at", models.DateTimeField(verbose_name="启用时间")),
                (
                    "retired_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="停用时间"),
                ),
                ("first_block", models.BigIntegerField(default=0, verbose_name="起始计数块")),
                (
                    "last_block",
                    models.BigIntegerField(blank=True, null=True, verbose_name="截止计数块"),
                ),
            ],
            options={
                "verbose_name": "密钥",
                "verbose_name_plural": "密钥",
                "permissions": [("rotate_key", "轮换密钥")],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "active")),
                        fields=("purpose",),
                        name="crypto_key_one_active_per_purpose",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("retired_at", None), ("state", "active")),
                            models.Q(("retired_at__isnull", False), ("state", "retired")),
                            _connector="OR",
                        ),
                        name="crypto_key_retired_has_a_moment",
                    ),
                ],
            },
        ),
    ]
