"""Forms of organisations: what may be typed, in which control, under which Chinese name.

A form reads and shapes; whether it may happen is the service's word, and comes back as a refusal.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from kangwei.kernel import clock
from kangwei.kernel.organisations import queries
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    Institution,
    InstitutionKind,
    Region,
    Role,
    ScopeKind,
    SecurityPolicy,
    Sex,
    Staff,
)
from kangwei.kernel.organisations.models.access import MaskingLevel
from kangwei.kernel.organisations.models.institutions import HospitalGrade, IdentifierKind
from kangwei.kernel.organisations.pickers import Picker, codes_of


def day(label: str, *, required: bool = True, help_text: str = "") -> forms.DateField:
    return forms.DateField(
        label=label,
        required=required,
        help_text=help_text,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


def moment(label: str, *, required: bool = True, help_text: str = "") -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=required,
        help_text=help_text,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


def secret(label: str, complete: str, help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=128,
        strip=False,
        help_text=help_text,
        widget=forms.PasswordInput(attrs={"autocomplete": complete}),
    )


class ReasonForm(forms.Form):
    reason = forms.CharField(label="原因", max_length=200, widget=forms.Textarea(attrs={"rows": 2}))


class NoteForm(forms.Form):
    """An act that needs no answer but the button."""


class PasswordForm(forms.Form):
    old = secret("当前密码", "current-password")
    new = secret("新密码", "new-password")
    again = secret("再次输入新密码", "new-password")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("new") and given.get("again") and given["new"] != given["again"]:
            self.add_error("again", "两次输入的新密码不一致。")
        return given


class CodeForm(forms.Form):
    code = forms.CharField(
        label="动态口令",
        max_length=20,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )


class SignatureForm(forms.Form):
    signature = forms.FileField(
        label="签名图片", help_text="PNG 格式，透明背景为佳，不超过 200 KB。"
    )


class ScopedForm(forms.Form):
    """A form whose choices end where the account's data scope ends."""

    def __init__(self, *args: Any, user: Account, right: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.right = right
        self.institutions: QuerySet[Institution] = Institution.objects.reached_by(
            user, right
        ).filter(closed_on=None)
        for name in ("institution", "parent", "into"):
            field: Any = self.fields.get(name)
            if field is not None:
                field.queryset = self.institutions


def institution_choice(label: str, *, required: bool = True) -> forms.ModelChoiceField[Institution]:
    return forms.ModelChoiceField(Institution.objects.none(), label=label, required=required)


class InstitutionForm(ScopedForm):
    code = forms.CharField(label="机构编码", max_length=30)
    name = forms.CharField(label="机构名称", max_length=100)
    short_name = forms.CharField(label="简称", max_length=40, required=False)
    kind = forms.ModelChoiceField(InstitutionKind.objects.all(), label="机构类别")
    grade = forms.ChoiceField(
        label="医院等级", required=False, choices=[("", "—"), *HospitalGrade.choices]
    )
    region = forms.CharField(
        label="所在区划代码", max_length=12, help_text="6、9 或 12 位，如 610113 或 610113001000。"
    )
    parent = institution_choice("上级机构")
    uscc = forms.CharField(label="统一社会信用代码", max_length=18, required=False)
    telephone = forms.CharField(label="联系电话", max_length=30, required=False)
    address = forms.CharField(label="地址", max_length=200, required=False)
    opened_on = day("启用日期")

    def clean_region(self) -> Region:
        code = self.cleaned_data["region"].strip().ljust(12, "0")
        region = Region.objects.filter(code=code, valid_to=None).first()
        if region is None:
            raise forms.ValidationError("没有这个有效的区划代码，请在区划页面查询。")
        return region


class InstitutionChangeForm(InstitutionForm):
    field_order = ("name", "short_name", "kind", "grade", "region", "uscc", "telephone", "address")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("code", "parent", "opened_on"):
            del self.fields[name]


class IdentifierForm(forms.Form):
    kind = forms.ChoiceField(label="编码类别", choices=IdentifierKind.choices)
    value = forms.CharField(
        label="编码", max_length=40, required=False, help_text="留空则删除该编码。"
    )


class MoveForm(ScopedForm):
    parent = institution_choice("新的上级机构")
    on = day("自哪天起")
    reason = forms.CharField(label="原因", max_length=200, required=False)


class CloseForm(ReasonForm):
    on = day("停用日期")


class MergeForm(ScopedForm):
    into = institution_choice("并入机构")
    on = day("合并日期")
    reason = forms.CharField(label="原因", max_length=200)


class DepartmentForm(forms.Form):
    code = forms.CharField(label="科室编码", max_length=30)
    name = forms.CharField(label="科室名称", max_length=60)
    parent = forms.ModelChoiceField(Department.objects.none(), label="上级科室", required=False)

    def __init__(self, *args: Any, institution: Institution, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        parent: Any = self.fields["parent"]
        parent.queryset = Department.objects.filter(institution=institution, closed_on=None)


class StaffForm(forms.Form):
    name = forms.CharField(label="姓名", max_length=40)
    number = forms.CharField(label="工号", max_length=30, required=False)
    sex = forms.ChoiceField(label="性别", choices=Sex.choices, required=False)
    id_number = forms.CharField(label="身份证号", max_length=30, required=False)
    phone = forms.CharField(label="手机号", max_length=20, required=False)
    email = forms.EmailField(label="电子邮箱", required=False)
    title = forms.CharField(label="职称", max_length=40, required=False)
    position = forms.CharField(label="职务", max_length=40, required=False)
    department = forms.ModelChoiceField(Department.objects.none(), label="科室", required=False)
    hired_on = day("入职日期")

    def __init__(self, *args: Any, institution: Institution, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        department: Any = self.fields["department"]
        department.queryset = Department.objects.filter(institution=institution, closed_on=None)


class StaffChangeForm(forms.Form):
    """Encrypted numbers are not shown to be edited: an empty box leaves them as they are."""

    name = forms.CharField(label="姓名", max_length=40)
    number = forms.CharField(label="工号", max_length=30, required=False)
    sex = forms.ChoiceField(label="性别", choices=Sex.choices)
    id_number = forms.CharField(
        label="新身份证号", max_length=30, required=False, help_text="不修改请留空。"
    )
    phone = forms.CharField(
        label="新手机号", max_length=20, required=False, help_text="不修改请留空。"
    )
    email = forms.EmailField(label="电子邮箱", required=False)
    title = forms.CharField(label="职称", max_length=40, required=False)


class TransferForm(ScopedForm):
    institution = institution_choice("调入机构")
    on = day("调动日期")
    position = forms.CharField(label="职务", max_length=40, required=False)


class LeaveForm(ReasonForm):
    on = day("离职日期")


class QualificationForm(forms.Form):
    kind = forms.CharField(label="证书名称", max_length=60)
    number = forms.CharField(label="证书编号", max_length=60)
    issuer = forms.CharField(label="发证机关", max_length=100, required=False)
    issued_on = day("发证日期", required=False)
    valid_until = day("有效期至", required=False)


class AccountForm(ScopedForm):
    institution = institution_choice("所属机构")
    username = forms.CharField(label="用户名", max_length=40)
    name = forms.CharField(label="姓名", max_length=40)
    staff = forms.ModelChoiceField(
        Staff.objects.none(), label="业务人员", required=False, help_text="本人在人员名册中的登记。"
    )
    valid_until = day("有效期至", required=False, help_text="外部人员和临时人员必须填写。")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        staff: Any = self.fields["staff"]
        staff.queryset = Staff.objects.visible_to(self.user).filter(left_on=None)


class AccountChangeForm(forms.Form):
    name = forms.CharField(label="姓名", max_length=40)
    staff = forms.ModelChoiceField(Staff.objects.none(), label="业务人员", required=False)
    valid_until = day("有效期至", required=False)

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        staff: Any = self.fields["staff"]
        staff.queryset = Staff.objects.filter(institution=account.institution, left_on=None)


class TargetsMixin(forms.Form):
    """Institutions and regions, picked by searching within one's scope."""

    institutions = forms.CharField(
        label="指定机构",
        required=False,
        help_text="“本机构”“本机构及下级”可留空；“指定机构”必选。",
        widget=Picker("institutions"),
    )
    regions = forms.CharField(
        label="指定区划",
        required=False,
        help_text="只有“指定区划”的角色选择。",
        widget=Picker("regions"),
    )
    user: Account

    def picks_for(self, user: Account) -> None:
        """Whose scope the pickers search."""
        self.user = user
        for name in ("institutions", "regions"):
            widget = self.fields[name].widget
            widget.user, widget.today = user, clock.local_day(clock.now())

    def clean_institutions(self) -> list[Institution]:
        codes = codes_of(self.cleaned_data["institutions"])
        visible = Institution.objects.visible_to(self.user).filter(code__in=codes)
        found = {institution.code: institution for institution in visible}
        missing = [code for code in codes if code not in found]
        if missing:
            raise forms.ValidationError(
                f"没有机构编码 {'、'.join(missing[:3])}，或不在您的数据范围内。"
            )
        return [found[code] for code in codes]

    def clean_regions(self) -> list[Region]:
        codes = [code.ljust(12, "0") for code in codes_of(self.cleaned_data["regions"])]
        found = {region.code: region for region in Region.objects.filter(code__in=codes)}
        missing = [code for code in codes if code not in found]
        if missing:
            raise forms.ValidationError(f"没有区划代码 {'、'.join(missing[:3])}。")
        return [found[code] for code in codes]


class GrantForm(TargetsMixin):
    role = forms.ModelChoiceField(Role.objects.filter(active=True), label="角色")
    valid_until = moment("失效时间", required=False, help_text="留空为长期有效。")
    reason = forms.CharField(label="授权原因", max_length=200)
    field_order = ("role", "valid_until", "institutions", "regions", "reason")

    def __init__(self, *args: Any, user: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.picks_for(user)
        roles: Any = self.fields["role"]
        roles.queryset = Role.objects.filter(
            pk__in=[role.pk for role in queries.roles_to_offer(user)]
        )


class LoanForm(TargetsMixin):
    to = forms.CharField(label="借给谁（用户名）", max_length=40)
    until = moment("失效时间")
    reason = forms.CharField(label="原因", max_length=200)
    field_order = ("to", "until", "institutions", "regions", "reason")

    def __init__(self, *args: Any, user: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.picks_for(user)
        for name in ("institutions", "regions"):
            self.fields[name].help_text = "留空则借出全部范围。"


class RoleForm(forms.Form):
    code = forms.CharField(label="角色代码", max_length=40, help_text="小写字母、数字和下划线。")
    name = forms.CharField(label="角色名称", max_length=40)
    description = forms.CharField(label="说明", max_length=200, required=False)
    scope_kind = forms.ChoiceField(label="数据范围", choices=ScopeKind.choices)
    masking_level = forms.TypedChoiceField(
        label="脱敏级别", choices=MaskingLevel.choices, coerce=int
    )
    session_limit = forms.IntegerField(
        label="同时登录数上限", required=False, min_value=1, max_value=20
    )
    second_factor_required = forms.BooleanField(label="必须使用第二因素", required=False)
    assignable = forms.BooleanField(label="可由各级管理员授予", required=False)


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    class Meta:
        model = SecurityPolicy
        fields = [
            *("password_min_length", "password_history", "password_max_age_days"),
            *("password_min_age_hours", "failures_before_lock", "address_failures_before_lock"),
            *("failure_window_minutes", "lock_minutes", "idle_minutes", "lifetime_hours"),
            "session_limit",
        ]


class RegionForm(forms.Form):
    code = forms.CharField(label="区划代码", max_length=12, help_text="6、9 或 12 位数字。")
    name = forms.CharField(label="名称", max_length=60)
    valid_from = day("启用日期")


class RegionMergeForm(forms.Form):
    into = forms.CharField(label="并入区划代码", max_length=12)
    on = day("合并日期")

    def clean_into(self) -> Region:
        code = self.cleaned_data["into"].strip().ljust(12, "0")
        region = Region.objects.filter(code=code).first()
        if region is None:
            raise forms.ValidationError("没有这个区划代码。")
        return region


class UnmaskForm(ReasonForm):
    fields_wanted = forms.MultipleChoiceField(
        label="查看内容",
        choices=[("phone", "手机号"), ("id_number", "身份证号")],
        widget=forms.CheckboxSelectMultiple,
    )


class KeyForm(forms.Form):
    name = forms.CharField(label="用途", max_length=60)
    scopes = forms.MultipleChoiceField(label="权限范围", widget=forms.CheckboxSelectMultiple)
    expires_on = day("到期日期")
    addresses = forms.CharField(
        label="允许的地址", required=False, help_text="留空不限；多个地址或网段用逗号分隔。"
    )

    def __init__(self, *args: Any, rights: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes: Any = self.fields["scopes"]
        scopes.choices = rights

    def clean_addresses(self) -> list[str]:
        return codes_of(self.cleaned_data["addresses"])


class UploadForm(forms.Form):
    file = forms.FileField(label="Excel 文件", help_text="只接受 .xlsx，不超过 20 MB。")
