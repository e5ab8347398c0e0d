"""Forms of notices: what may be typed, in which control, under which Chinese name."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from kangwei.kernel.notices.models import (
    Channel,
    ChannelKind,
    DutyRoster,
    EscalationPolicy,
    Priority,
    QuietAction,
)
from kangwei.kernel.notices.models.channels import GROUP_KINDS, PERSONAL_KINDS, ROBOT_KINDS
from kangwei.kernel.notices.presets import presets
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import LevelSpec
from kangwei.kernel.organisations.models import Account, Institution, Role

#: Names of the secrets each kind of channel uses; SMS providers name their own.
SECRETS: dict[str, dict[str, str]] = {
    "dingtalk": {"token": "令牌（access_token）", "secret": "加签密钥（SEC 开头，可不填）"},
    "wecom": {"token": "令牌（key）"},
    "feishu": {"token": "令牌（hook 后的一段）", "secret": "签名密钥（可不填）"},
    "email": {"password": "邮箱密码或授权码（可不填）"},
    "webhook": {"secret": "签名密钥"},
}
#: What a kept secret is called where its kind of channel gives it no fuller label.
SECRET_WORDS = {"secret": "密钥", "token": "令牌", "password": "密码"}


def secret_word(name: str) -> str:
    return SECRET_WORDS.get(name, name)


HELP = {
    "dingtalk": "可选参数：keyword（自定义关键词）、ca_pem（内部证书）。",
    "wecom": "可选参数：ca_pem（内部证书）。",
    "feishu": "可选参数：keyword（自定义关键词）、ca_pem（内部证书）。",
    "email": "必填 sender（发件地址）；可选 security（starttls、tls、none）、user、"
    "sender_name、ca_pem。",
    "sms": "按服务商文档填写请求与签名步骤，可先选择服务商预设（未经实机验证）。",
    "voice": "与短信相同，text 为播报内容。",
    "webhook": "接收方应校验 X-Kangwei-Signature，并按 X-Kangwei-Delivery 去重。",
}
PERSON_KINDS = [(k.value, k.label) for k in (*PERSONAL_KINDS, *ROBOT_KINDS)]


class AccountsField(forms.CharField):
    """Usernames in order, one a line; people are found by what they sign in with."""

    def __init__(self, *, label: str, required: bool = True, help_text: str = "") -> None:
        super().__init__(
            label=label,
            required=required,
            help_text=help_text or "每行一个用户名，按顺序填写。",
            widget=forms.Textarea(attrs={"rows": 5}),
        )

    def clean(self, value: Any) -> list[Account]:
        names = [name.lower() for name in super().clean(value).replace(",", " ").split()]
        found = {row.username: row for row in Account.objects.filter(username__in=names)}
        if missing := [name for name in names if name not in found]:
            raise ValidationError(f"没有用户名为“{missing[0]}”的账号，请核对。")
        return [found[name] for name in names]


def usernames(accounts: Any) -> str:
    return "\n".join(account.username for account in accounts)


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A channel; secrets are typed in and never shown again."""

    options = forms.CharField(
        label="参数（JSON）",
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
    )
    keepers = AccountsField(
        label="渠道负责人", required=False, help_text="每行一个用户名；渠道故障时通知他们。"
    )

    class Meta:
        model = Channel
        fields = (
            "name",
            "institution",
            "address",
            "per_minute",
            "fallback",
            "order",
            "enabled",
            "options",
        )

    def __init__(self, *args: Any, user: Account, kind: str, preset: str = "", **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.kind = kind
        described = next((p for p in presets() if p["name"] == preset), None)
        options = self.instance.options
        if described and not self.instance.pk:
            options = described["options"] | {"preset": preset}
            self.fields["address"].initial = described["address"]
        self.fields["options"].initial = json.dumps(options or {}, ensure_ascii=False, indent=2)
        self.initial["options"] = self.fields["options"].initial
        self.fields["options"].help_text = HELP[kind]
        right = "notices.manage_channel"
        self.fields["institution"].queryset = Institution.objects.reached_by(user, right)  # type: ignore[attr-defined]
        # Only who reaches everything may set up what everybody uses.
        self.fields["institution"].required = not user.scope(right).everything
        others = Channel.objects.reached_by(user, right).exclude(pk=self.instance.pk)
        self.fields["fallback"].queryset = others  # type: ignore[attr-defined]
        if self.instance.pk:
            self.fields["keepers"].initial = usernames(self.instance.keepers.all())
        named = dict(SECRETS.get(kind) or (described or {}).get("secrets", {}))
        known = self.instance.secret_names() if self.instance.pk else []
        for name in known:
            named.setdefault(name, secret_word(name))
        if kind in ("sms", "voice") and not named:
            named = {"secret": "签名密钥"}
        self.secret_names = list(named)
        for name, label in named.items():
            self.fields[f"secret_{name}"] = forms.CharField(
                label=label,
                required=False,
                strip=True,
                help_text="已保存，留空则不修改。" if name in known else "加密保存，不再显示。",
                widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
            )

    def clean_options(self) -> dict[str, Any]:
        try:
            found = json.loads(self.cleaned_data["options"] or "{}")
        except ValueError as error:
            raise ValidationError(f"参数不是有效的 JSON：{error}") from None
        if not isinstance(found, dict):
            raise ValidationError("参数应是 JSON 对象，例如 {}。")
        return found

    def typed_secrets(self) -> dict[str, str]:
        typed = {name: self.cleaned_data[f"secret_{name}"] for name in self.secret_names}
        return {name: value for name, value in typed.items() if value}


class TestForm(forms.Form):
    recipient = forms.CharField(
        label="接收地址", required=False, max_length=254, help_text="群机器人和接口推送可留空。"
    )


class TemplateForm(forms.Form):
    title = forms.CharField(label="标题", max_length=200)
    body = forms.CharField(label="正文（Markdown）", widget=forms.Textarea(attrs={"rows": 12}))
    short = forms.CharField(
        label="短文本（短信、语音）", max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )
    note = forms.CharField(label="修改说明", max_length=200)


class AddressForm(forms.Form):
    kind = forms.ChoiceField(label="类型", choices=[(k.value, k.label) for k in PERSONAL_KINDS])
    value = forms.CharField(label="地址", max_length=254, help_text="邮箱地址、手机号或固定电话。")


class VerifyForm(forms.Form):
    code = forms.CharField(
        label="验证码",
        max_length=6,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code"}),
    )


class PreferencesForm(forms.Form):
    """Kinds of channels by priority; in-app always comes."""

    def __init__(self, *args: Any, chosen: dict[int, list[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for priority in reversed(Priority):
            self.fields[f"p{priority.value}"] = forms.MultipleChoiceField(
                label=f"{priority.label}通知",
                required=False,
                choices=PERSON_KINDS,
                initial=chosen.get(priority.value, []),
                widget=forms.CheckboxSelectMultiple,
            )

    def kinds(self) -> dict[int, list[str]]:
        return {p.value: self.cleaned_data[f"p{p.value}"] for p in Priority}


class QuietForm(forms.Form):
    start = forms.TimeField(
        label="开始", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    end = forms.TimeField(
        label="结束",
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="开始和结束都留空表示取消免打扰。",
    )
    rest_days = forms.BooleanField(label="休息日全天免打扰", required=False)
    break_from = forms.TypedChoiceField(
        label="照常发送的级别",
        coerce=int,
        choices=[choice for choice in Priority.choices if choice[0] >= Priority.HIGH],
        initial=Priority.URGENT,
        help_text="达到该级别的通知不受免打扰限制。",
    )
    action = forms.ChoiceField(label="处理方式", choices=QuietAction.choices)

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if bool(found.get("start")) != bool(found.get("end")):
            raise ValidationError("开始和结束时间应同时填写或同时留空。")
        return found


class RosterForm(forms.ModelForm):  # type: ignore[type-arg]
    members = AccountsField(label="轮值人员")
    rest_day_members = AccountsField(
        label="休息日轮值人员",
        required=False,
        help_text="每行一个用户名；留空则休息日也由轮值人员值班。周末调休上班日算工作日。",
    )

    class Meta:
        model = DutyRoster
        fields = ("code", "name", "institution", "rotation", "handover", "starts_on", "enabled")
        widgets = {
            "handover": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "starts_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }

    def __init__(self, *args: Any, user: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reached = Institution.objects.reached_by(user, "notices.manage_dutyroster")
        self.fields["institution"].queryset = reached  # type: ignore[attr-defined]
        if self.instance.pk:
            turns = self.instance.turns.select_related("account")
            for rest, name in ((False, "members"), (True, "rest_day_members")):
                people = [turn.account for turn in turns if turn.rest_days is rest]
                self.fields[name].initial = usernames(people)


class SubstitutionForm(forms.Form):
    start = forms.DateTimeField(
        label="开始", widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    end = forms.DateTimeField(
        label="结束", widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    absent = forms.ModelChoiceField(label="原值班人", queryset=Account.objects.none())
    stands_in = forms.ModelChoiceField(label="替班人", queryset=Account.objects.none())
    reason = forms.CharField(label="原因", max_length=200)

    def __init__(self, *args: Any, roster: DutyRoster, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        on_list = Account.objects.filter(pk__in=roster.turns.values("account"))
        self.fields["absent"].queryset = on_list  # type: ignore[attr-defined]
        colleagues = Account.objects.filter(institution=roster.institution, state="active")
        self.fields["stands_in"].queryset = colleagues  # type: ignore[attr-defined]


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = EscalationPolicy
        fields = (
            "code",
            "name",
            "institution",
            "priority",
            "acknowledged_for",
            "repeat_every",
            "tell_end",
            "enabled",
        )

    def __init__(self, *args: Any, user: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        right = "notices.manage_escalationpolicy"
        reached = Institution.objects.reached_by(user, right)
        self.fields["institution"].queryset = reached  # type: ignore[attr-defined]
        self.fields["institution"].required = not user.scope(right).everything


def target_choices(user: Account) -> list[tuple[str, Any]]:
    """Everything a level may tell, grouped by kind; the value names kind and thing."""
    rosters = DutyRoster.objects.visible_to(user).filter(enabled=True)
    robots = Channel.objects.visible_to(user).filter(kind__in=GROUP_KINDS, enabled=True)
    people = Account.objects.visible_to(user).filter(state="active").order_by("name")[:500]
    return [
        ("", "（不使用）"),
        ("值班表当班人", [(f"duty:{row.code}", row.name) for row in rosters]),
        (
            "对象所属机构的角色",
            [(f"role:{row.code}", row.name) for row in Role.objects.filter(active=True)],
        ),
        ("群机器人或接口", [(f"robot:{row.pk}", row.name) for row in robots]),
        ("指定账号", [(f"account:{row.pk}", f"{row.name}（{row.username}）") for row in people]),
    ]


def read_target(value: str) -> Target:
    kind, _, thing = value.partition(":")
    match kind:
        case "duty":
            return Target.duty(thing)
        case "role":
            return Target("role", role=thing)
        case "robot":
            return Target.robot(int(thing))
        case _:
            return Target.account(int(thing))


class LineForm(forms.Form):
    """One line of a ladder: when, whom, over what. Lines of the same minute are one level."""

    after_minutes = forms.IntegerField(
        label="开始后（分钟）", required=False, min_value=0, max_value=10080
    )
    target = forms.ChoiceField(label="通知对象", required=False)
    kinds = forms.MultipleChoiceField(
        label="渠道（站内消息总会发送）",
        required=False,
        choices=PERSON_KINDS,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, choices: list[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["target"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("target") and found.get("after_minutes") is None:
            raise ValidationError("请填写这一行在开始后多少分钟通知。")
        return found


def lines_of(policy: EscalationPolicy) -> list[dict[str, Any]]:
    """The ladder of a policy as lines of the editor."""
    lines: list[dict[str, Any]] = []
    for level in policy.levels.prefetch_related("targets__roster", "targets__role"):
        for row in level.targets.all():
            thing = row.roster.code if row.roster else row.role.code if row.role else None
            lines.append(
                {
                    "after_minutes": level.after_minutes,
                    "target": f"{row.kind}:{thing or row.channel_id or row.account_id}",
                    "kinds": level.kinds,
                }
            )
    return lines


def levels_of(lines: list[dict[str, Any]]) -> list[LevelSpec]:
    """Lines of the editor as levels: the same minute is the same level."""
    used = [line for line in lines if line.get("target")]
    answer = []
    for minutes in sorted({line["after_minutes"] for line in used}):
        same = [line for line in used if line["after_minutes"] == minutes]
        kinds = [k for k, _ in PERSON_KINDS if any(k in line["kinds"] for line in same)]
        answer.append(LevelSpec(minutes, [read_target(line["target"]) for line in same], kinds))
    return answer


class WatchForm(forms.Form):
    heartbeat_url = forms.CharField(
        label="心跳地址",
        required=False,
        max_length=500,
        help_text="每分钟访问一次；另一台主机在心跳停止时报警。已保存的地址不再显示，留空不修改。",
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )
    stop_heartbeat = forms.BooleanField(label="停用心跳（清除已保存的地址）", required=False)
    all_quiet = forms.BooleanField(label="每日 08:30 发送平安消息", required=False)
    channels = forms.ModelMultipleChoiceField(
        label="平安消息渠道",
        required=False,
        queryset=Channel.objects.none(),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, user: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        robots = Channel.objects.visible_to(user).filter(kind__in=GROUP_KINDS)
        self.fields["channels"].queryset = robots  # type: ignore[attr-defined]
        if not robots.exists():
            self.fields["channels"].help_text = (
                "还没有群机器人渠道，平安消息只发给可维护守望设置的人；"
                "要发到群里，请先在“通知渠道”中新增。"
            )


class ReasonForm(forms.Form):
    reason = forms.CharField(label="原因", max_length=200, widget=forms.Textarea(attrs={"rows": 2}))


class KindForm(forms.Form):
    """First step of a new channel: which kind, which provider."""

    kind = forms.ChoiceField(
        label="渠道类型", choices=[c for c in ChannelKind.choices if c[0] != ChannelKind.INAPP]
    )
    preset = forms.ChoiceField(
        label="服务商预设",
        required=False,
        help_text="短信、语音可选；预设均未经实机验证。",
        choices=[("", "（无）"), *((p["name"], p["title"]) for p in presets())],
    )
