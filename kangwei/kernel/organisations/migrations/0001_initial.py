import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.db.models.lookups
from django.conf import settings
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

import kangwei.kernel.crypto.fields
import kangwei.kernel.organisations.models.institutions


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # Periods that must not overlap are held by exclusion constraints over (id, daterange).
        BtreeGistExtension(),
        migrations.CreateModel(
            name="InstitutionKind",
            fields=[
                (
                    "code",
                    models.CharField(
                        max_length=30, primary_key=True, serialize=False, verbose_name="代码"
                    ),
                ),
                ("name", models.CharField(max_length=40, unique=True, verbose_name="名称")),
                ("group", models.CharField(max_length=20, verbose_name="大类")),
                ("order", models.PositiveSmallIntegerField(default=0, verbose_name="排序")),
            ],
            options={
                "verbose_name": "机构类别",
                "verbose_name_plural": "机构类别",
                "ordering": ("order", "code"),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Account",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                (
                    "last_login",
                    models.DateTimeField(blank=True, null=True, verbose_name="last login"),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "用户名已被使用。"},
                        max_length=40,
                        unique=True,
                        verbose_name="用户名",
                    ),
                ),
                ("name", models.CharField(max_length=40, verbose_name="姓名")),
                (
                    "pinyin",
                    models.CharField(
                        blank=True, db_index=True, max_length=40, verbose_name="拼音码"
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "正常"),
                            ("disabled", "停用"),
                            ("suspended", "暂停（未年审）"),
                        ],
                        default="active",
                        max_length=10,
                        verbose_name="状态",
                    ),
                ),
                (
                    "state_reason",
                    models.CharField(blank=True, max_length=200, verbose_name="状态原因"),
                ),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="有效期至")),
                (
                    "must_change_password",
                    models.BooleanField(default=True, verbose_name="下次登录须改密"),
                ),
                (
                    "password_changed_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="密码修改时间"),
                ),
                (
                    "signature",
                    models.BinaryField(blank=True, null=True, verbose_name="手写签名图片"),
                ),
                ("created_at", models.DateTimeField(verbose_name="创建时间")),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="创建人",
                    ),
                ),
            ],
            options={
                "verbose_name": "账号",
                "verbose_name_plural": "账号",
                "ordering": ("username",),
                "permissions": [
                    ("manage_account", "维护账号"),
                    ("reset_password", "重置密码、解除锁定"),
                    ("reset_second_factor", "重置第二因素"),
                    ("sign_out_account", "强制下线"),
                    ("import_account", "批量导入账号"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="ImportBatch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("institutions", "机构"), ("accounts", "账号")],
                        max_length=12,
                        verbose_name="内容",
                    ),
                ),
                ("file_name", models.CharField(max_length=200, verbose_name="文件名")),
                ("file_digest", models.CharField(max_length=64, verbose_name="文件摘要")),
                ("uploaded_at", models.DateTimeField(verbose_name="上传时间")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("preview", "待确认"),
                            ("confirmed", "已导入"),
                            ("discarded", "已放弃"),
                        ],
                        default="preview",
                        max_length=10,
                        verbose_name="状态",
                    ),
                ),
                (
                    "confirmed_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="确认时间"),
                ),
                ("written", models.PositiveIntegerField(default=0, verbose_name="已写入行数")),
                (
                    "uploaded_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="imports",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="上传人",
                    ),
                ),
            ],
            options={
                "verbose_name": "批量导入",
                "verbose_name_plural": "批量导入",
                "ordering": ("-uploaded_at",),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Institution",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=30, unique=True, verbose_name="机构编码")),
                ("name", models.CharField(max_length=100, verbose_name="机构名称")),
                ("short_name", models.CharField(max_length=40, verbose_name="简称")),
                (
                    "pinyin",
                    models.CharField(
                        blank=True, db_index=True, max_length=100, verbose_name="拼音码"
                    ),
                ),
                (
                    "grade",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("3A", "三级甲等"),
                            ("3B", "三级乙等"),
                            ("3C", "三级丙等"),
                            ("3", "三级（未定等）"),
                            ("2A", "二级甲等"),
                            ("2B", "二级乙等"),
                            ("2C", "二级丙等"),
                            ("2", "二级（未定等）"),
                            ("1A", "一级甲等"),
                            ("1B", "一级乙等"),
                            ("1C", "一级丙等"),
                            ("1", "一级（未定等）"),
                            ("none", "未定级"),
                        ],
                        max_length=4,
                        verbose_name="医院等级",
                    ),
                ),
                (
                    "uscc",
                    models.CharField(
                        blank=True,
                        max_length=18,
                        null=True,
                        unique=True,
                        verbose_name="统一社会信用代码",
                    ),
                ),
                ("address", models.CharField(blank=True, max_length=200, verbose_name="地址")),
                ("telephone", models.CharField(blank=True, max_length=30, verbose_name="联系电话")),
                ("opened_on", models.DateField(verbose_name="启用日期")),
                ("closed_on", models.DateField(blank=True, null=True, verbose_name="停用日期")),
                (
                    "merged_into",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="merged",
                        to="organisations.institution",
                        verbose_name="并入机构",
                    ),
                ),
                (
                    "kind",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        to="organisations.institutionkind",
                        verbose_name="机构类别",
                    ),
                ),
            ],
            options={
                "verbose_name": "机构",
                "verbose_name_plural": "机构",
                "ordering": ("region_id", "code"),
                "permissions": [
                    ("manage_institution", "维护机构"),
                    ("move_institution", "调整机构隶属关系"),
                    ("import_institution", "批量导入机构"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Department",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=30, verbose_name="科室编码")),
                ("name", models.CharField(max_length=60, verbose_name="科室名称")),
                ("pinyin", models.CharField(blank=True, max_length=60, verbose_name="拼音码")),
                ("closed_on", models.DateField(blank=True, null=True, verbose_name="停用日期")),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="organisations.department",
                        verbose_name="上级科室",
                    ),
                ),
                (
                    "institution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="departments",
                        to="organisations.institution",
                        verbose_name="机构",
                    ),
                ),
            ],
            options={
                "verbose_name": "科室",
                "verbose_name_plural": "科室",
                "ordering": ("institution", "code"),
                "permissions": [("manage_department", "维护科室")],
                "default_permissions": ("view",),
            },
        ),
        migrations.AddField(
            model_name="account",
            name="institution",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="accounts",
                to="organisations.institution",
                verbose_name="所属机构",
            ),
        ),
        migrations.CreateModel(
            name="InstitutionClosure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("depth", models.PositiveSmallIntegerField(verbose_name="层数")),
                (
                    "ancestor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="closure_below",
                        to="organisations.institution",
                        verbose_name="上级机构",
                    ),
                ),
                (
                    "descendant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="closure_above",
                        to="organisations.institution",
                        verbose_name="下级机构",
                    ),
                ),
            ],
            options={
                "verbose_name": "机构上下级",
                "verbose_name_plural": "机构上下级",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="InstitutionIdentifier",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("organisation_code", "组织机构代码"),
                            ("medical_licence", "医疗机构执业许可证登记号"),
                            ("vaccination_unit", "接种单位编码"),
                            ("insurance", "医保定点机构编码"),
                            ("other", "其他编码"),
                        ],
                        max_length=30,
                        verbose_name="编码类别",
                    ),
                ),
                ("value", models.CharField(max_length=40, verbose_name="编码")),
                (
                    "institution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="identifiers",
                        to="organisations.institution",
                        verbose_name="机构",
                    ),
                ),
            ],
            options={
                "verbose_name": "机构其他编码",
                "verbose_name_plural": "机构其他编码",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="InstitutionParent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("valid_from", models.DateField(verbose_name="起始日期")),
                ("valid_to", models.DateField(blank=True, null=True, verbose_name="终止日期")),
                (
                    "institution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="parents",
                        to="organisations.institution",
                        verbose_name="机构",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="organisations.institution",
                        verbose_name="上级机构",
                    ),
                ),
            ],
            options={
                "verbose_name": "隶属关系",
                "verbose_name_plural": "隶属关系",
                "ordering": ("institution", "valid_from"),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="PastPassword",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("encoded", models.CharField(max_length=128, verbose_name="密码摘要")),
                ("set_at", models.DateTimeField(verbose_name="设置时间")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="past_passwords",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="账号",
                    ),
                ),
            ],
            options={
                "verbose_name": "历史密码",
                "verbose_name_plural": "历史密码",
                "ordering": ("account", "-set_at"),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="RecoveryCode",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("digest", models.CharField(max_length=64, verbose_name="摘要")),
                ("used_at", models.DateTimeField(blank=True, null=True, verbose_name="使用时间")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recovery_codes",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="账号",
                    ),
                ),
            ],
            options={
                "verbose_name": "恢复码",
                "verbose_name_plural": "恢复码",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Region",
            fields=[
                (
                    "code",
                    models.CharField(
                        max_length=12, primary_key=True, serialize=False, verbose_name="区划代码"
                    ),
                ),
                (
                    "level",
                    models.CharField(
                        choices=[
                            ("province", "省"),
                            ("city", "市"),
                            ("county", "县（区）"),
                            ("township", "乡镇（街道）"),
                            ("village", "村（社区）"),
                        ],
                        max_length=10,
                        verbose_name="级别",
                    ),
                ),
                ("name", models.CharField(max_length=60, verbose_name="名称")),
                ("pinyin", models.CharField(blank=True, max_length=60, verbose_name="拼音码")),
                ("valid_from", models.DateField(verbose_name="启用日期")),
                ("valid_to", models.DateField(blank=True, null=True, verbose_name="撤销日期")),
                (
                    "merged_into",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="merged",
                        to="organisations.region",
                        verbose_name="并入区划",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="organisations.region",
                        verbose_name="上级区划",
                    ),
                ),
            ],
            options={
                "verbose_name": "区划",
                "verbose_name_plural": "区划",
                "ordering": ("code",),
                "permissions": [("manage_region", "维护区划")],
                "default_permissions": ("view",),
            },
        ),
        migrations.AddField(
            model_name="institution",
            name="region",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="institutions",
                to="organisations.region",
                verbose_name="所在区划",
            ),
        ),
        migrations.CreateModel(
            name="Role",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=40, unique=True, verbose_name="角色代码")),
                ("name", models.CharField(max_length=40, unique=True, verbose_name="角色名称")),
                ("description", models.CharField(blank=True, max_length=200, verbose_name="说明")),
                (
                    "rights",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=140),
                        default=list,
                        size=None,
                        verbose_name="功能权限",
                    ),
                ),
                (
                    "scope_kind",
                    models.CharField(
                        choices=[
                            ("own", "本机构"),
                            ("subtree", "本机构及下级"),
                            ("regions", "指定区划"),
                            ("listed", "指定机构"),
                            ("everything", "全部"),
                        ],
                        max_length=10,
                        verbose_name="数据范围",
                    ),
                ),
                (
                    "masking_level",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "全部隐藏"), (1, "部分显示"), (2, "完整显示")],
                        default=1,
                        verbose_name="脱敏级别",
                    ),
                ),
                (
                    "second_factor_required",
                    models.BooleanField(default=False, verbose_name="必须使用第二因素"),
                ),
                (
                    "session_limit",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="同时登录数上限"
                    ),
                ),
                (
                    "duty",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "无"),
                            ("system", "系统管理"),
                            ("security", "安全管理"),
                            ("audit", "审计管理"),
                        ],
                        default="",
                        max_length=10,
                        verbose_name="三员职责",
                    ),
                ),
                ("built_in", models.BooleanField(default=False, verbose_name="内置角色")),
                (
                    "assignable",
                    models.BooleanField(default=False, verbose_name="可由各级管理员授予"),
                ),
                ("active", models.BooleanField(default=True, verbose_name="启用")),
                ("order", models.PositiveSmallIntegerField(default=100, verbose_name="排序")),
            ],
            options={
                "verbose_name": "角色",
                "verbose_name_plural": "角色",
                "ordering": ("order", "code"),
                "permissions": [("manage_role", "维护角色")],
                "default_permissions": ("view",),
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["rights"], name="organisations_role_rights"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("masking_level__in", [0, 1, 2])),
                        name="organisations_role_masking_level",
                        violation_error_message="脱敏级别只能是 0、1、2。",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("session_limit", None),
                            ("session_limit__range", (1, 20)),
                            _connector="OR",
                        ),
                        name="organisations_role_session_limit",
                        violation_error_message="同时登录数上限应在 1 到 20 之间。",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("duty", ""), ("second_factor_required", True), _connector="OR"
                        ),
                        name="organisations_duty_wants_second_factor",
                        violation_error_message="三员角色必须使用第二因素。",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("valid_from", models.DateTimeField(verbose_name="生效时间")),
                (
                    "valid_until",
                    models.DateTimeField(blank=True, null=True, verbose_name="失效时间"),
                ),
                ("granted_at", models.DateTimeField(verbose_name="授权时间")),
                ("reason", models.CharField(blank=True, max_length=200, verbose_name="授权原因")),
                (
                    "revoked_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="收回时间"),
                ),
                (
                    "revoke_reason",
                    models.CharField(blank=True, max_length=200, verbose_name="收回原因"),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="账号",
                    ),
                ),
                (
                    "granted_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="授权人",
                    ),
                ),
                (
                    "lent_from",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="loans",
                        to="organisations.grant",
                        verbose_name="借出授权",
                    ),
                ),
                (
                    "revoked_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="收回人",
                    ),
                ),
                (
                    "institutions",
                    models.ManyToManyField(
                        blank=True,
                        related_name="+",
                        to="organisations.institution",
                        verbose_name="指定机构",
                    ),
                ),
                (
                    "regions",
                    models.ManyToManyField(
                        blank=True,
                        related_name="+",
                        to="organisations.region",
                        verbose_name="指定区划",
                    ),
                ),
                (
                    "role",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="grants",
                        to="organisations.role",
                        verbose_name="角色",
                    ),
                ),
            ],
            options={
                "verbose_name": "授权",
                "verbose_name_plural": "授权",
                "ordering": ("account", "valid_from", "pk"),
                "permissions": [
                    ("grant_role", "授予和收回自己拥有的角色权限"),
                    ("grant_any_role", "授予和收回任何角色"),
                    ("delegate_role", "将自己的授权临时借给他人"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="SecondFactor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("secret", kangwei.kernel.crypto.fields.EncryptedTextField(verbose_name="密钥")),
                ("created_at", models.DateTimeField(verbose_name="创建时间")),
                (
                    "confirmed_at",
                    models.DateTimeField(blank=True, null=True, verbose_name="启用时间"),
                ),
                ("last_step", models.BigIntegerField(default=0, verbose_name="最近使用的时间步")),
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="second_factor",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="账号",
                    ),
                ),
            ],
            options={
                "verbose_name": "第二因素",
                "verbose_name_plural": "第二因素",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SecurityPolicy",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "password_min_length",
                    models.PositiveSmallIntegerField(default=10, verbose_name="密码最短长度"),
                ),
                (
                    "password_history",
                    models.PositiveSmallIntegerField(
                        default=5, verbose_name="不得重复最近几次密码"
                    ),
                ),
                (
                    "password_max_age_days",
                    models.PositiveSmallIntegerField(default=90, verbose_name="密码有效天数"),
                ),
                (
                    "password_min_age_hours",
                    models.PositiveSmallIntegerField(
                        default=1, verbose_name="两次修改最短间隔（小时）"
                    ),
                ),
                (
                    "failures_before_lock",
                    models.PositiveSmallIntegerField(
                        default=5, verbose_name="账号连续失败几次锁定"
                    ),
                ),
                (
                    "address_failures_before_lock",
                    models.PositiveSmallIntegerField(
                        default=30, verbose_name="同一地址失败几次锁定"
                    ),
                ),
                (
                    "failure_window_minutes",
                    models.PositiveSmallIntegerField(
                        default=15, verbose_name="失败计数时长（分钟）"
                    ),
                ),
                (
                    "lock_minutes",
                    models.PositiveSmallIntegerField(default=30, verbose_name="锁定时长（分钟）"),
                ),
                (
                    "idle_minutes",
                    models.PositiveSmallIntegerField(default=30, verbose_name="空闲退出（分钟）"),
                ),
                (
                    "lifetime_hours",
                    models.PositiveSmallIntegerField(
                        default=12, verbose_name="最长登录时长（小时）"
                    ),
                ),
                (
                    "session_limit",
                    models.PositiveSmallIntegerField(default=3, verbose_name="默认同时登录数上限"),
                ),
            ],
            options={
                "verbose_name": "登录安全策略",
                "verbose_name_plural": "登录安全策略",
                "default_permissions": ("view", "change"),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("id", 1)), name="organisations_one_policy"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("password_history__range", (3, 24)),
                            ("password_max_age_days__range", (1, 180)),
                            ("password_min_age_hours__range", (0, 72)),
                            ("password_min_length__range", (8, 64)),
                        ),
                        name="organisations_policy_password_floor",
                        violation_error_message="密码策略超出允许范围：长度 8–64，历史 3–24 次，有效 1–180 天，间隔 0–72 小时。",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("address_failures_before_lock__range", (5, 500)),
                            ("failure_window_minutes__range", (5, 120)),
                            ("failures_before_lock__range", (3, 10)),
                            ("lock_minutes__range", (10, 1440)),
                        ),
                        name="organisations_policy_lock_floor",
                        violation_error_message="锁定策略超出允许范围：账号 3–10 次，地址 5–500 次，计数 5–120 分钟，锁定 10–1440 分钟。",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("idle_minutes__range", (1, 60)),
                            ("lifetime_hours__range", (1, 24)),
                            ("session_limit__range", (1, 20)),
                        ),
                        name="organisations_policy_session_floor",
                        violation_error_message="会话策略超出允许范围：空闲 1–60 分钟，最长 1–24 小时，同时登录 1–20 个。",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SignInEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(verbose_name="时间")),
                (
                    "recorded_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        verbose_name="登记时间",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("success", "登录成功"),
                            ("failure", "登录失败"),
                            ("locked", "账号锁定"),
                            ("address_locked", "地址锁定"),
                            ("refused_locked", "锁定期间尝试登录"),
                            ("unlocked", "解除锁定"),
                            ("factor_failure", "第二因素验证失败"),
                            ("recovery_code", "使用恢复码"),
                            ("ended", "会话结束"),
                        ],
                        max_length=16,
                        verbose_name="事件",
                    ),
                ),
                ("username", models.CharField(max_length=40, verbose_name="用户名")),
                (
                    "address",
                    models.GenericIPAddressField(blank=True, null=True, verbose_name="地址"),
                ),
                ("agent", models.CharField(blank=True, max_length=200, verbose_name="浏览器")),
                ("reason", models.CharField(blank=True, max_length=100, verbose_name="说明")),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="sign_ins",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="账号",
                    ),
                ),
            ],
            options={
                "verbose_name": "登录日志",
                "verbose_name_plural": "登录日志",
                "ordering": ("-at", "-pk"),
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Staff",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.CharField(blank=True, max_length=30, verbose_name="工号")),
                ("name", models.CharField(max_length=40, verbose_name="姓名")),
                (
                    "pinyin",
                    models.CharField(
                        blank=True, db_index=True, max_length=40, verbose_name="拼音码"
                    ),
                ),
                (
                    "sex",
                    models.CharField(
                        choices=[("0", "未知"), ("1", "男"), ("2", "女")],
                        default="0",
                        max_length=1,
                        verbose_name="性别",
                    ),
                ),
                (
                    "id_number",
                    kangwei.kernel.crypto.fields.EncryptedTextField(
                        blank=True,
                        digest_column="id_number_digest",
                        purpose="id_number",
                        verbose_name="身份证号",
                    ),
                ),
                (
                    "id_number_digest",
                    kangwei.kernel.crypto.fields.DigestField(
                        db_index=True, source="id_number", unique=False
                    ),
                ),
                (
                    "phone",
                    kangwei.kernel.crypto.fields.EncryptedTextField(
                        blank=True,
                        digest_column="phone_digest",
                        purpose="phone",
                        verbose_name="手机号",
                    ),
                ),
                (
                    "phone_digest",
                    kangwei.kernel.crypto.fields.DigestField(
                        db_index=True, source="phone", unique=False
                    ),
                ),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="电子邮箱")),
                ("title", models.CharField(blank=True, max_length=40, verbose_name="职称")),
                ("position", models.CharField(blank=True, max_length=40, verbose_name="职务")),
                ("left_on", models.DateField(blank=True, null=True, verbose_name="离职日期")),
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="staff",
                        to="organisations.department",
                        verbose_name="科室",
                    ),
                ),
                (
                    "institution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="staff",
                        to="organisations.institution",
                        verbose_name="机构",
                    ),
                ),
            ],
            options={
                "verbose_name": "业务人员",
                "verbose_name_plural": "业务人员",
                "ordering": ("institution", "pinyin", "pk"),
                "permissions": [
                    ("manage_staff", "维护业务人员"),
                    ("unmask_staff", "查看业务人员完整证件号和手机号"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Qualification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=60, verbose_name="证书名称")),
                ("number", models.CharField(max_length=60, verbose_name="证书编号")),
                ("issuer", models.CharField(blank=True, max_length=100, verbose_name="发证机关")),
                ("issued_on", models.DateField(blank=True, null=True, verbose_name="发证日期")),
                ("valid_until", models.DateField(blank=True, null=True, verbose_name="有效期至")),
                (
                    "staff",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="qualifications",
                        to="organisations.staff",
                        verbose_name="人员",
                    ),
                ),
            ],
            options={
                "verbose_name": "资格证书",
                "verbose_name_plural": "资格证书",
                "ordering": ("staff", "kind"),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Employment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.CharField(blank=True, max_length=40, verbose_name="职务")),
                ("valid_from", models.DateField(verbose_name="入职日期")),
                ("valid_to", models.DateField(blank=True, null=True, verbose_name="离职日期")),
                (
                    "department",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="organisations.department",
                        verbose_name="科室",
                    ),
                ),
                (
                    "institution",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="employments",
                        to="organisations.institution",
                        verbose_name="机构",
                    ),
                ),
                (
                    "staff",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="employments",
                        to="organisations.staff",
                        verbose_name="人员",
                    ),
                ),
            ],
            options={
                "verbose_name": "任职经历",
                "verbose_name_plural": "任职经历",
                "ordering": ("staff", "valid_from"),
                "default_permissions": (),
            },
        ),
        migrations.AddField(
            model_name="account",
            name="staff",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="accounts",
                to="organisations.staff",
                verbose_name="业务人员",
            ),
        ),
        migrations.CreateModel(
            name="AccountSession",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "key_digest",
                    models.CharField(max_length=64, unique=True, verbose_name="会话摘要"),
                ),
                ("started_at", models.DateTimeField(verbose_name="登录时间")),
                ("seen_at", models.DateTimeField(verbose_name="最近活动")),
                (
                    "address",
                    models.GenericIPAddressField(blank=True, null=True, verbose_name="地址"),
                ),
                ("agent", models.CharField(blank=True, max_length=200, verbose_name="浏览器")),
                (
                    "second_factor",
                    models.BooleanField(default=False, verbose_name="已验证第二因素"),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True, verbose_name="结束时间")),
                (
                    "end_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("signed_out", "本人退出"),
                            ("idle", "空闲超时"),
                            ("lifetime", "达到最长登录时长"),
                            ("forced", "管理员强制下线"),
                            ("displaced", "在其他地方登录，超过同时登录数"),
                            ("password", "密码已修改"),
                            ("account", "账号已停用或过期"),
                        ],
                        max_length=12,
                        verbose_name="结束原因",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="账号",
                    ),
                ),
            ],
            options={
                "verbose_name": "登录会话",
                "verbose_name_plural": "登录会话",
                "ordering": ("-started_at",),
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at", None)),
                        fields=["account"],
                        name="organisations_session_open",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("end_reason", ""), ("ended_at", None)),
                            models.Q(
                                ("ended_at__isnull", False),
                                models.Q(("end_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="organisations_session_end_has_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ImportRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField(verbose_name="行号")),
                ("content", kangwei.kernel.crypto.fields.EncryptedTextField(verbose_name="内容")),
                ("problems", models.JSONField(blank=True, default=list, verbose_name="问题")),
                (
                    "result_id",
                    models.BigIntegerField(blank=True, null=True, verbose_name="写入对象"),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="rows",
                        to="organisations.importbatch",
                        verbose_name="批次",
                    ),
                ),
            ],
            options={
                "verbose_name": "导入行",
                "verbose_name_plural": "导入行",
                "ordering": ("batch", "number"),
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("batch", "number"), name="organisations_import_row_once"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="department",
            constraint=models.UniqueConstraint(
                fields=("institution", "code"),
                name="organisations_department_code_once",
                violation_error_message="该机构已有相同编码的科室。",
            ),
        ),
        migrations.AddConstraint(
            model_name="department",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("parent", None),
                    models.Q(("parent", models.F("pk")), _negated=True),
                    _connector="OR",
                ),
                name="organisations_department_parent_is_another",
                violation_error_message="上级科室不能是科室自身。",
            ),
        ),
        migrations.AddConstraint(
            model_name="institutionclosure",
            constraint=models.UniqueConstraint(
                fields=("ancestor", "descendant"), name="organisations_closure_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="institutionclosure",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ancestor", models.F("descendant")), ("depth", 0)),
                    models.Q(
                        ("depth__gt", 0),
                        models.Q(("ancestor", models.F("descendant")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="organisations_closure_self_is_zero",
            ),
        ),
        migrations.AddConstraint(
            model_name="institutionidentifier",
            constraint=models.UniqueConstraint(
                fields=("kind", "value"),
                name="organisations_identifier_once",
                violation_error_message="该编码已登记在其他机构。",
            ),
        ),
        migrations.AddConstraint(
            model_name="institutionparent",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[
                    (
                        kangwei.kernel.organisations.models.institutions.DateRange(
                            "valid_from",
                            "valid_to",
                            django.contrib.postgres.fields.ranges.RangeBoundary(
                                inclusive_lower=True
                            ),
                        ),
                        "&&",
                    ),
                    ("institution", "="),
                ],
                name="organisations_one_parent_at_a_time",
                violation_error_message="同一时期只能有一个上级机构。",
            ),
        ),
        migrations.AddConstraint(
            model_name="institutionparent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_to", None), ("valid_to__gt", models.F("valid_from")), _connector="OR"
                ),
                name="organisations_parent_dates",
                violation_error_message="终止日期应晚于起始日期。",
            ),
        ),
        migrations.AddConstraint(
            model_name="institutionparent",
            constraint=models.CheckConstraint(
                condition=models.Q(("parent", models.F("institution")), _negated=True),
                name="organisations_parent_is_another",
                violation_error_message="上级机构不能是机构自身。",
            ),
        ),
        migrations.AddConstraint(
            model_name="recoverycode",
            constraint=models.UniqueConstraint(
                fields=("account", "digest"), name="organisations_recovery_code_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="region",
            constraint=models.CheckConstraint(
                condition=models.Q(("code__regex", "^[1-9][0-9]{11}$")),
                name="organisations_region_code_digits",
                violation_error_message="区划代码应为 12 位数字。",
            ),
        ),
        migrations.AddConstraint(
            model_name="region",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("level", "province"),
                        ("code__endswith", "0000000000"),
                        ("parent__isnull", True),
                    ),
                    models.Q(
                        ("level", "city"),
                        ("code__endswith", "00000000"),
                        ("parent__isnull", False),
                        django.db.models.lookups.Exact(
                            django.db.models.functions.text.Right("parent", 10),
                            models.Value("0000000000"),
                        ),
                        django.db.models.lookups.Exact(
                            django.db.models.functions.text.Left("parent", 2),
                            django.db.models.functions.text.Left("code", 2),
                        ),
                    ),
                    models.Q(
                        ("level", "county"),
                        ("code__endswith", "000000"),
                        models.Q(
                            models.Q(
                                ("parent__isnull", False),
                                django.db.models.lookups.Exact(
                                    django.db.models.functions.text.Right("parent", 8),
                                    models.Value("00000000"),
                                ),
                                django.db.models.lookups.Exact(
                                    django.db.models.functions.text.Left("parent", 4),
                                    django.db.models.functions.text.Left("code", 4),
                                ),
                            ),
                            models.Q(
                                ("parent__isnull", False),
                                django.db.models.lookups.Exact(
                                    django.db.models.functions.text.Right("parent", 10),
                                    models.Value("0000000000"),
                                ),
                                django.db.models.lookups.Exact(
                                    django.db.models.functions.text.Left("parent", 2),
                                    django.db.models.functions.text.Left("code", 2),
                                ),
                            ),
                            _connector="OR",
                        ),
                    ),
                    models.Q(
                        ("level", "township"),
                        ("code__endswith", "000"),
                        ("parent__isnull", False),
                        django.db.models.lookups.Exact(
                            django.db.models.functions.text.Right("parent", 6),
                            models.Value("000000"),
                        ),
                        django.db.models.lookups.Exact(
                            django.db.models.functions.text.Left("parent", 6),
                            django.db.models.functions.text.Left("code", 6),
                        ),
                    ),
                    models.Q(
                        ("level", "village"),
                        ("parent__isnull", False),
                        django.db.models.lookups.Exact(
                            django.db.models.functions.text.Right("parent", 3), models.Value("000")
                        ),
                        django.db.models.lookups.Exact(
                            django.db.models.functions.text.Left("parent", 9),
                            django.db.models.functions.text.Left("code", 9),
                        ),
                    ),
                    _connector="OR",
                ),
                name="organisations_region_code_nests_under_parent",
                violation_error_message="区划代码与上级区划不相符。",
            ),
        ),
        migrations.AddConstraint(
            model_name="region",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_to", None), ("valid_to__gt", models.F("valid_from")), _connector="OR"
                ),
                name="organisations_region_dates",
                violation_error_message="撤销日期应晚于启用日期。",
            ),
        ),
        migrations.AddConstraint(
            model_name="region",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("merged_into", None),
                    models.Q(
                        ("valid_to__isnull", False),
                        models.Q(("merged_into", models.F("code")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="organisations_region_merged_has_date",
                violation_error_message="并入其他区划时应填写撤销日期。",
            ),
        ),
        migrations.AddConstraint(
            model_name="institution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("closed_on", None), ("closed_on__gt", models.F("opened_on")), _connector="OR"
                ),
                name="organisations_institution_dates",
                violation_error_message="停用日期应晚于启用日期。",
            ),
        ),
        migrations.AddConstraint(
            model_name="institution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("merged_into", None),
                    models.Q(
                        ("closed_on__isnull", False),
                        models.Q(("merged_into", models.F("pk")), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="organisations_institution_merged_is_closed",
                violation_error_message="并入其他机构时应填写停用日期。",
            ),
        ),
        migrations.AddConstraint(
            model_name="institution",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("uscc", None), ("uscc__regex", "^[0-9A-HJ-NPQRTUWXY]{18}$"), _connector="OR"
                ),
                name="organisations_institution_uscc_form",
                violation_error_message="统一社会信用代码应为 18 位。",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_until", None),
                    ("valid_until__gt", models.F("valid_from")),
                    _connector="OR",
                ),
                name="organisations_grant_dates",
                violation_error_message="失效时间应晚于生效时间。",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("granted_by", None),
                    models.Q(("granted_by", models.F("account")), _negated=True),
                    _connector="OR",
                ),
                name="organisations_nobody_grants_to_himself",
                violation_error_message="不能给自己授权。",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("lent_from", None),
                    models.Q(("granted_by__isnull", False), ("valid_until__isnull", False)),
                    _connector="OR",
                ),
                name="organisations_loan_has_end_and_lender",
                violation_error_message="临时授权必须有失效时间。",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("revoke_reason", ""), ("revoked_at", None)),
                    ("revoked_at__isnull", False),
                    _connector="OR",
                ),
                name="organisations_revocation_is_whole",
            ),
        ),
        migrations.AddIndex(
            model_name="signinevent",
            index=models.Index(fields=["username", "at"], name="organisations_signin_username"),
        ),
        migrations.AddIndex(
            model_name="signinevent",
            index=models.Index(fields=["address", "at"], name="organisations_signin_address"),
        ),
        migrations.AddIndex(
            model_name="signinevent",
            index=models.Index(fields=["account", "at"], name="organisations_signin_account"),
        ),
        migrations.AddConstraint(
            model_name="staff",
            constraint=models.UniqueConstraint(
                condition=models.Q(("number", ""), _negated=True),
                fields=("institution", "number"),
                name="organisations_staff_number_once",
                violation_error_message="该机构已有相同工号的人员。",
            ),
        ),
        migrations.AddConstraint(
            model_name="qualification",
            constraint=models.UniqueConstraint(
                fields=("staff", "kind", "number"),
                name="organisations_qualification_once",
                violation_error_message="该人员已登记相同证书。",
            ),
        ),
        migrations.AddConstraint(
            model_name="qualification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("issued_on", None),
                    ("valid_until", None),
                    ("valid_until__gte", models.F("issued_on")),
                    _connector="OR",
                ),
                name="organisations_qualification_dates",
                violation_error_message="有效期应不早于发证日期。",
            ),
        ),
        migrations.AddConstraint(
            model_name="employment",
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(
                expressions=[
                    (
                        kangwei.kernel.organisations.models.institutions.DateRange(
                            "valid_from",
                            "valid_to",
                            django.contrib.postgres.fields.ranges.RangeBoundary(
                                inclusive_lower=True
                            ),
                        ),
                        "&&",
                    ),
                    ("staff", "="),
                ],
                name="organisations_one_employment_at_a_time",
                violation_error_message="任职时间与已有经历重叠。",
            ),
        ),
        migrations.AddConstraint(
            model_name="employment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_to", None), ("valid_to__gt", models.F("valid_from")), _connector="OR"
                ),
                name="organisations_employment_dates",
                violation_error_message="离职日期应晚于入职日期。",
            ),
        ),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(("username__regex", "^[a-z0-9][a-z0-9._@-]{1,39}$")),
                name="organisations_username_form",
                violation_error_message="用户名由小写字母、数字和 . _ @ - 组成，2 至 40 位。",
            ),
        ),
        # The sign-in journal is a ledger: written once, whoever writes.
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION organisations_signinevent_refuse() RETURNS trigger
                LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'sign-in events are append-only' USING ERRCODE = '23001';
                END $$;
                CREATE TRIGGER organisations_signinevent_append_only
                BEFORE UPDATE OR DELETE ON organisations_signinevent
                FOR EACH ROW EXECUTE FUNCTION organisations_signinevent_refuse();
            """,
            reverse_sql="""
                DROP TRIGGER organisations_signinevent_append_only ON organisations_signinevent;
                DROP FUNCTION organisations_signinevent_refuse();
            """,
        ),
    ]
