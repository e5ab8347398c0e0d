"""Forms of oversight: opening a round, deciding about an account, searching the journal."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, ClassVar

from django import forms

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as journal
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import Account, Institution, Region, Role, ScopeKind
from kangwei.kernel.oversight.models import REVIEW_RIGHT
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Decision, State
from kangwei.kernel.oversight.services import Change, NewGrant, Proof

MANAGE_RIGHT = "oversight.manage_campaign"


class CampaignForm(forms.Form):
    """A round over one institution and all below it."""

    institution = forms.ModelChoiceField(
        Institution.objects.none(), label="范围机构", help_text="含其全部下级机构的账号"
    )
    year = forms.IntegerField(label="年度", min_value=2000, max_value=2999)
    due_on = forms.DateField(
        label="截止日期", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    title = forms.CharField(label="批次名称", required=False, max_length=80)
    note = forms.CharField(
        label="说明", required=False, max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, by: Account, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        today = clock.local_day(at)
        places = self.fields["institution"]
        assert isinstance(places, forms.ModelChoiceField)
        places.queryset = (
            by.scope(MANAGE_RIGHT)
            .limit(Institution.objects.open_on(today), "pk")
            .order_by("region_id", "code")
        )
        places.initial = by.institution_id
        self.fields["title"].help_text = "不填时按年度和机构自动命名"
        self.fields["year"].initial = today.year
        self.fields["due_on"].initial = today + review.NOTICE * 2


class DecisionForm(forms.Form):
    """What the superior decides about one account, and the signature under it."""

    decision = forms.ChoiceField(
        label="结论",
        choices=[
            (Decision.KEEP.value, "保留：账号和角色不变"),
            (Decision.CHANGE.value, "调整：收回或增加角色"),
            (Decision.DISABLE.value, "停用：账号立即停止使用"),
        ],
        widget=forms.RadioSelect,
        initial=Decision.KEEP.value,
    )
    reason = forms.CharField(
        label="理由",
        required=False,
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="调整、停用以及恢复已暂停账号时必填",
    )
    revoke = forms.MultipleChoiceField(
        label="收回角色", required=False, widget=forms.CheckboxSelectMultiple
    )
    role = forms.ModelChoiceField(Role.objects.none(), label="增加角色", required=False)
    targets = forms.CharField(
        label="增加角色的范围",
        required=False,
        max_length=500,
        help_text="角色要求指定机构或区划时填写编码，多个用逗号隔开",
    )
    password = forms.CharField(
        label="登录密码",
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text="重新输入本人登录密码，作为电子签名",
    )
    code = forms.CharField(
        label="或动态口令",
        required=False,
        max_length=8,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
        help_text="已启用第二因素的账号可改用动态口令签名",
    )

    def __init__(
        self, *args: Any, grants: list[tuple[int, str]], by: Account, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.by = by
        revoke = self.fields["revoke"]
        assert isinstance(revoke, forms.MultipleChoiceField)
        revoke.choices = [(str(pk), words) for pk, words in grants]
        roles = self.fields["role"]
        assert isinstance(roles, forms.ModelChoiceField)
        roles.queryset = Role.objects.filter(active=True).order_by("order", "code")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        role, given = cleaned.get("role"), cleaned.get("targets", "")
        codes = [code for code in given.replace("，", ",").replace(" ", ",").split(",") if code]
        cleaned["places"], cleaned["areas"] = [], []
        if role is None:
            if codes:
                self.add_error("role", "填写了范围但没有选择要增加的角色。")
        elif role.scope_kind == ScopeKind.REGIONS:
            found = {row.code: row for row in Region.objects.filter(code__in=map(full_code, codes))}
            cleaned["areas"] = list(found.values())
            self._name_unknown([code for code in codes if full_code(code) not in found])
        else:
            # What lies out of one's reach reads like what is not there.
            reach = Institution.objects.reached_by(self.by, REVIEW_RIGHT)
            places = {row.code: row for row in reach.filter(code__in=codes)}
            cleaned["places"] = list(places.values())
            self._name_unknown([code for code in codes if code not in places])
        return cleaned

    def _name_unknown(self, unknown: list[str]) -> None:
        if unknown:
            self.add_error("targets", f"没有找到编码 {'、'.join(unknown)}，请核对。")

    @property
    def proof(self) -> Proof:
        return Proof(self.cleaned_data["password"], self.cleaned_data["code"].strip())

    @property
    def change(self) -> Change:
        role = self.cleaned_data["role"]
        new = (
            [NewGrant(role, self.cleaned_data["places"], self.cleaned_data["areas"])]
            if role
            else []
        )
        return Change(frozenset(int(pk) for pk in self.cleaned_data["revoke"]), new)


def full_code(code: str) -> str:
    """A region code as people write it (six digits) as it is kept (twelve)."""
    return code.ljust(12, "0")


class ItemFilter(forms.Form):
    """Which accounts of a round to show."""

    state = forms.ChoiceField(
        label="状态",
        required=False,
        choices=[("", "全部状态"), *((s.value, review.STATE_WORDS[s]) for s in State)],
    )
    finding = forms.ChoiceField(
        label="例外",
        required=False,
        choices=[
            ("", "不限"),
            ("any", "有任一例外"),
            *((one.value, review.FINDING_WORDS[one]) for one in review.Finding),
        ],
    )
    institution = forms.IntegerField(required=False, widget=forms.HiddenInput)
    q = forms.CharField(
        label="账号",
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "姓名或用户名"}),
    )


class JournalForm(forms.Form):
    """What an auditor looks for. Everything may be left out."""

    since = forms.DateField(
        label="起",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    until = forms.DateField(
        label="止",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    person = forms.CharField(
        label="操作人",
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"placeholder": "用户名"}),
    )
    act = forms.ChoiceField(label="操作", required=False)
    object_type = forms.ChoiceField(label="对象类别", required=False)
    object_id = forms.CharField(label="对象编号", required=False, max_length=120)
    text = forms.CharField(
        label="关键词",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": "操作人、对象或原因"}),
    )
    #: Acts tell the story; the rows that changed under an act are shown with it.
    kind = forms.ChoiceField(
        label="类别",
        required=False,
        choices=[
            ("", "操作"),
            (Entry.Kind.CHANGE.value, "数据变更"),
            (Entry.Kind.DIGEST.value, "分段摘要"),
            ("all", "全部"),
        ],
    )
    result = forms.ChoiceField(
        label="结果", required=False, choices=[("", "全部"), *Entry.Result.choices]
    )
    address = forms.CharField(label="来源地址", required=False, max_length=64)
    trace_id = forms.CharField(label="跟踪编号", required=False, max_length=64)
    without_act = forms.BooleanField(label="仅看绕过业务操作的改动", required=False)

    #: Conditions beyond these are shown when "more" is opened.
    FIRST: ClassVar[tuple[str, ...]] = ("since", "until", "person", "act", "text")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        act, kind = self.fields["act"], self.fields["object_type"]
        assert isinstance(act, forms.ChoiceField)
        assert isinstance(kind, forms.ChoiceField)
        act.choices = [("", "全部操作"), *sorted(journal.acts().items(), key=lambda one: one[1])]
        kind.choices = [
            ("", "全部对象"),
            *sorted(journal.object_types().items(), key=lambda o: o[1]),
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", f"截止日期 {until} 早于起始日期 {since}，请重新选择。")
        person = cleaned.get("person")
        cleaned["account_id"] = None
        if person:
            account = Account.objects.filter(username__iexact=person.strip()).first()
            if account is None:
                self.add_error("person", f"没有用户名为“{person}”的账号；按姓名查找请用“关键词”。")
            else:
                cleaned["account_id"] = account.pk
        return cleaned

    def criteria(self) -> journal.Criteria:
        cleaned = self.cleaned_data
        return journal.Criteria(
            since=_midnight(cleaned["since"]) if cleaned["since"] else None,
            # The day itself belongs to the answer, so the period ends at the next midnight.
            until=_midnight(cleaned["until"] + timedelta(days=1)) if cleaned["until"] else None,
            account_id=cleaned["account_id"],
            act=cleaned["act"],
            object_type=cleaned["object_type"],
            object_id=cleaned["object_id"].strip(),
            kind=self.kind_of_lines(),
            result=cleaned["result"],
            address=cleaned["address"].strip(),
            trace_id=cleaned["trace_id"].strip(),
            text=cleaned["text"].strip(),
            without_act=cleaned["without_act"],
        )

    def kind_of_lines(self) -> str:
        asked: str = self.cleaned_data["kind"]
        if asked == "all" or self.cleaned_data["without_act"]:
            return ""
        return asked or Entry.Kind.ACT.value

    def conditions(self) -> dict[str, str]:
        """The conditions as they stand, for saving and for addresses."""
        return {
            name: str(self.data[name]).strip()
            for name in self.fields
            if str(self.data.get(name, "")).strip()
        }


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time(), clock.SHANGHAI)


class SaveSearchForm(forms.Form):
    name = forms.CharField(label="名称", max_length=40)
    query = forms.JSONField(widget=forms.HiddenInput)
