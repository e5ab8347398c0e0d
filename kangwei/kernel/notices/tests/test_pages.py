"""Pages: every one draws, the stranger's 404, what the acts say, how many queries lists cost."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.notices.models import (
    Address,
    Channel,
    Delivery,
    DutyRoster,
    EscalationPolicy,
    Substitution,
    TemplateVersion,
    Watch,
)
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import start_escalation
from kangwei.kernel.notices.services.sending import run
from kangwei.kernel.notices.tests import make
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.standins.base import playing
from kangwei.standins.robots import DingTalk
from kangwei.standins.sms import Sms

pytestmark = pytest.mark.django_db

RIGHTS = [
    "notices.view_channel", "notices.manage_channel", "notices.view_template",
    "notices.manage_template", "notices.view_dutyroster", "notices.manage_dutyroster",
    "notices.view_escalationpolicy", "notices.manage_escalationpolicy", "notices.view_escalation",
    "notices.acknowledge_escalation", "notices.stop_escalation", "notices.view_delivery",
    "notices.resend_delivery", "notices.view_address", "notices.manage_address",
    "notices.manage_watch", "organisations.view_account", "organisations.view_institution",
]  # fmt: skip

FROM_SETTINGS = {"referer": "http://testserver/notices/settings/"}


@pytest.fixture
def lead() -> Account:
    return people.account("lead", name="王强", right=RIGHTS)


@pytest.fixture
def browser(lead: Account) -> Client:
    return people.client(lead)


class World:
    """One of everything, at one institution."""

    def __init__(self, lead: Account) -> None:
        at = clock.now()
        self.place = lead.institution
        self.robot = make.channel("dingtalk", institution=self.place, name="运维群")
        self.notice = make.notice(
            Target.account(lead.pk), Target.robot(self.robot.pk), at=at,
            institution_id=self.place.pk,
        )  # fmt: skip
        self.roster = make.roster(lead, people.account(institution=self.place))
        self.policy = make.policy((0, [Target.account(lead.pk)]), at=at, institution=self.place)
        self.escalation = start_escalation(
            policy=self.policy, subject=self.place, at=at, context={"system": "HIS"},
            institution_id=self.place.pk,
        )  # fmt: skip
        self.address = make.address(lead)
        self.outside = Delivery.objects.get(notice=self.notice, kind="dingtalk")
        self.message = Delivery.objects.get(notice=self.notice, kind="inapp")

    def pages(self) -> list[tuple[str, list[Any]]]:
        return [
            ("inbox", []), ("bell", []), ("settings", []), ("add_address", []),
            ("message", [self.message.pk]), ("channel", [self.robot.pk]), ("new_channel", []),
            ("change_channel", [self.robot.pk]), ("templates", []),
            ("template", ["notices.escalation"]), ("change_template", ["notices.escalation"]),
            ("roster", [self.roster.pk]), ("new_roster", []), ("change_roster", [self.roster.pk]),
            ("add_substitution", [self.roster.pk]), ("policy", [self.policy.pk]),
            ("new_policy", []), ("change_policy", [self.policy.pk]), ("watch", []),
            ("supervision", []), ("without_address", []), ("delivery", [self.outside.pk]),
            ("resend", [self.outside.pk]), ("escalation", [self.escalation.pk]),
            ("stop", [self.escalation.pk]), ("verify_by_hand", [self.address.pk]),
        ]  # fmt: skip


def test_every_page_draws_for_who_may(browser: Client, lead: Account) -> None:
    for name, args in World(lead).pages():
        answer = browser.get(reverse(f"notices:{name}", args=args))
        assert answer.status_code == 200, name
        assert "{{" not in answer.content.decode() or "template" in name, name


def test_every_page_of_a_foreign_row_is_a_404_and_without_right_a_403(lead: Account) -> None:
    stranger = people.client(people.account(right=RIGHTS))
    nobody = people.client(people.account())
    own = {"inbox", "bell", "settings", "add_address"}
    for name, args in World(lead).pages():
        address = reverse(f"notices:{name}", args=args)
        if args and "template" not in name:
            assert stranger.get(address).status_code == 404, name
        if name not in own and name != "message":
            assert nobody.get(address).status_code == 403, name


@pytest.mark.parametrize(
    "model", ["channel", "dutyroster", "escalationpolicy", "escalation", "delivery", "address"]
)
def test_lists_show_own_rows_and_hide_foreign_ones(
    browser: Client, lead: Account, model: str
) -> None:
    World(lead)
    address = reverse(f"admin:notices_{model}_changelist")
    mine = browser.get(address)
    assert mine.status_code == 200
    stranger = people.client(people.account(right=RIGHTS))
    foreign = stranger.get(address)
    assert foreign.status_code == 200
    assert foreign.context["cl"].result_count == 0
    assert mine.context["cl"].result_count > 0
    assert "08:30:00" not in mine.content.decode()  # a roster hands over at 08:30


def test_the_bell_counts_and_reading_lowers_the_count(browser: Client, lead: Account) -> None:
    world = World(lead)
    assert "2 条未读" in browser.get(reverse("notices:bell")).content.decode()
    browser.get(reverse("notices:message", args=[world.message.pk]))
    assert "1 条未读" in browser.get(reverse("notices:bell")).content.decode()
    browser.post(reverse("notices:read_all"))
    assert "没有未读消息" in browser.get(reverse("notices:bell")).content.decode()


def test_the_bell_costs_few_queries_however_full_the_inbox(
    browser: Client, lead: Account, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        make.notice(Target.account(lead.pk), at=clock.now())
    browser.get(reverse("notices:bell"))
    with django_assert_max_num_queries(8):
        browser.get(reverse("notices:bell"))


def test_the_inbox_is_filtered(browser: Client, lead: Account) -> None:
    make.notice(Target.account(lead.pk), at=clock.now(), what="冷库断电", priority="urgent")
    make.notice(Target.account(lead.pk), at=clock.now(), what="月报已生成")
    page = browser.get(reverse("notices:inbox"), {"priority": "3"}).content.decode()
    main = page.split('id="content"')[1]
    assert "冷库断电" in main
    assert "月报已生成" not in main


def test_a_channel_is_set_up_tested_and_its_secret_never_shown(
    browser: Client, lead: Account
) -> None:
    with playing(standin := DingTalk(token="robot-token-77", secret="SEC-of-the-robot")) as url:
        answer = browser.post(
            reverse("notices:new_channel") + "?kind=dingtalk",
            {
                "name": "值班群", "institution": lead.institution_id, "address": url,
                "per_minute": 15, "order": 10, "enabled": "on", "options": "{}", "keepers": "lead",
                "secret_token": "robot-token-77", "secret_secret": "SEC-of-the-robot",
            },
        )  # fmt: skip
        channel = Channel.objects.get(name="值班群")
        assert answer.status_code == 302
        browser.post(reverse("notices:test_channel", args=[channel.pk]), {"recipient": ""})
        run(now=clock.now)
    shown = browser.get(reverse("notices:channel", args=[channel.pk]))
    assert "对方已接受" in shown.content.decode()
    assert len(standin.received) == 1
    for name in ("channel", "change_channel"):
        page = browser.get(reverse(f"notices:{name}", args=[channel.pk])).content.decode()
        assert "robot-token-77" not in page
        assert "SEC-of-the-robot" not in page
    assert list(channel.keepers.all()) == [lead]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("address", "oapi.dingtalk.com", "http:// 或 https://"),
        ("address", "https://oapi.dingtalk.com/robot/send?access_token=abc", "令牌"),
        ("options", "{bad", "JSON"),
        ("per_minute", "60", "限流"),
        ("keepers", "nobody-here", "没有用户名为"),
    ],
)
def test_a_wrong_channel_is_refused_at_the_field(
    browser: Client, lead: Account, field: str, value: str, told: str
) -> None:
    content = {
        "name": "值班群", "institution": lead.institution_id, "address": "https://a.example.cn",
        "per_minute": 15, "order": 10, "options": "{}", field: value,
    }  # fmt: skip
    answer = browser.post(reverse("notices:new_channel") + "?kind=dingtalk", content)
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert not Channel.objects.exists()


def test_a_phone_is_proven_by_the_code_that_reaches_it(browser: Client, lead: Account) -> None:
    with playing(standin := Sms(), prefix="/sms") as url:
        make.channel("sms", url)
        browser.post(reverse("notices:add_address"), {"kind": "sms", "value": "13800001111"})
        address = Address.objects.get(account=lead)
        browser.post(reverse("notices:ask_for_code", args=[address.pk]))
        run(now=clock.now)
    code = standin.received[0].text.split("验证码是 ")[1][:6]
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    confirm = reverse("notices:confirm_address", args=[address.pk])
    refused = browser.post(confirm, {"code": wrong}, follow=True, headers=FROM_SETTINGS)
    assert "还可再试 4 次" in refused.content.decode()
    browser.post(confirm, {"code": code})
    address.refresh_from_db()
    assert address.verified_at is not None
    assert address.value == "13800001111"
    assert address.shown == "138****1111"


def test_five_wrong_codes_make_the_right_one_void(browser: Client, lead: Account) -> None:
    with playing(standin := Sms(), prefix="/sms") as url:
        make.channel("sms", url)
        address = make.address(lead, verified_at=None)
        browser.post(reverse("notices:ask_for_code", args=[address.pk]))
        run(now=clock.now)
    code = standin.received[0].text.split("验证码是 ")[1][:6]
    confirm = reverse("notices:confirm_address", args=[address.pk])
    for _ in range(5):
        browser.post(confirm, {"code": f"{(int(code) + 7) % 1_000_000:06d}"})
    late = browser.post(confirm, {"code": code}, follow=True, headers=FROM_SETTINGS)
    assert "验证码已失效" in late.content.decode()
    address.refresh_from_db()
    assert address.verified_at is None


def test_a_template_is_edited_previewed_and_used(browser: Client, lead: Account) -> None:
    make.template()
    change = reverse("notices:change_template", args=["notices.test"])
    words = {
        "title": "注意：{{ what }}",
        "body": "{{ what }}",
        "short": "{{ what }}",
        "note": "改标题",
    }
    refused = browser.post(change, {**words, "body": "{{ patient }}"})
    assert "未定义的变量“patient”" in refused.content.decode()
    browser.post(change, words)
    assert TemplateVersion.objects.get().number == 1
    page = browser.get(reverse("notices:template", args=["notices.test"])).content.decode()
    assert "注意：断电" in page
    notice = make.notice(Target.account(lead.pk), at=clock.now(), what="停水")
    assert (notice.title, notice.template_version) == ("注意：停水", 1)


def test_a_roster_is_set_up_and_a_substitution_shows_in_the_month(
    browser: Client, lead: Account
) -> None:
    mate = people.account("mate", name="李敏", institution=lead.institution)
    today = clock.local_day(clock.now())
    monday = today - timedelta(days=today.weekday())
    browser.post(
        reverse("notices:new_roster"),
        {
            "code": "duty-a", "name": "一线值班", "institution": lead.institution_id,
            "rotation": "weekly", "handover": "08:30", "starts_on": monday.isoformat(),
            "enabled": "on", "members": "lead\nmate", "rest_day_members": "",
        },
    )  # fmt: skip
    roster = DutyRoster.objects.get()
    add = reverse("notices:add_substitution", args=[roster.pk])
    day = max(today, monday)
    content = {
        "absent": lead.pk, "stands_in": mate.pk, "start": f"{day}T00:00", "end": f"{day}T23:59",
        "reason": "年休假",
    }  # fmt: skip
    browser.post(add, content)
    month = {"month": f"{today:%Y-%m}"}
    page = browser.get(reverse("notices:roster", args=[roster.pk]), month).content.decode()
    assert "替 王强" in page
    again = browser.post(add, content)
    assert "已有人替班" in again.content.decode()
    only = Substitution.objects.get()
    browser.post(reverse("notices:cancel_substitution", args=[only.pk]))
    page = browser.get(reverse("notices:roster", args=[roster.pk]), month).content.decode()
    assert "替 王强" not in page


def test_the_month_marks_make_up_days_and_holidays(browser: Client, lead: Account) -> None:
    roster = make.roster(lead, starts_on=date(2026, 1, 1))
    page = browser.get(reverse("notices:roster", args=[roster.pk]), {"month": "2026-02"})
    cells = {c["day"]: c for week in page.context["weeks"] for c in week}
    assert cells[date(2026, 2, 17)]["working"] is False  # Spring Festival, a Tuesday
    assert cells[date(2026, 2, 14)]["working"] is True  # make-up Saturday


def test_a_policy_is_edited_by_lines(browser: Client, lead: Account) -> None:
    mate = people.account("mate", institution=lead.institution)
    roster = make.roster(lead, code="duty-a")
    lines = [
        ("0", "duty:duty-a", ["sms"]),
        ("0", f"account:{mate.pk}", []),
        ("10", f"account:{lead.pk}", ["voice"]),
    ]
    content: dict[str, Any] = {
        "code": "alert", "name": "告警", "institution": lead.institution_id, "priority": "3",
        "acknowledged_for": "120", "repeat_every": "30", "tell_end": "on", "enabled": "on",
        "lines-TOTAL_FORMS": "5", "lines-INITIAL_FORMS": "0",
    }  # fmt: skip
    for n, (minutes, target, kinds) in enumerate(lines):
        content |= {
            f"lines-{n}-after_minutes": minutes,
            f"lines-{n}-target": target,
            f"lines-{n}-kinds": kinds,
        }
    browser.post(reverse("notices:new_policy"), content)
    policy = EscalationPolicy.objects.get(code="alert")
    shape = [
        (level.after_minutes, level.kinds, [t.kind for t in level.targets.all()])
        for level in policy.levels.all()
    ]
    assert shape == [(0, ["sms"], ["duty", "account"]), (10, ["voice"], ["account"])]
    page = browser.get(reverse("notices:policy", args=[policy.pk])).content.decode()
    assert f"值班表当班人：{roster.name}" in page
    content["lines-2-after_minutes"] = ""
    refused = browser.post(reverse("notices:change_policy", args=[policy.pk]), content)
    assert refused.status_code == 422
    assert policy.levels.count() == 2


def test_an_escalation_is_claimed_and_stopped_on_its_page(browser: Client, lead: Account) -> None:
    world = World(lead)
    args = [world.escalation.pk]
    claimed = browser.post(reverse("notices:acknowledge", args=args), follow=True)
    assert "已认领" in claimed.content.decode()
    stopped = browser.post(reverse("notices:stop", args=args), {"reason": "已恢复"}, follow=True)
    page = stopped.content.decode()
    assert "升级已停止" in page
    assert "已恢复" in page


def test_supervision_leads_from_the_number_to_the_rows(browser: Client, lead: Account) -> None:
    world = World(lead)
    with make.dead_address() as dead:
        Channel.objects.filter(pk=world.robot.pk).update(address=dead)
        moments = make.Clock()
        for seconds in (1, 5, 30, 120):
            moments.forward(seconds=seconds)
            run(now=moments)
    page = browser.get(reverse("notices:supervision"), {"figure": "failed"})
    assert [row.pk for row in page.context["rows"]] == [world.outside.pk]
    detail = browser.get(reverse("notices:delivery", args=[world.outside.pk])).content.decode()
    assert "第 4 次" in detail
    assert "连接不上服务地址" in detail


def test_supervision_costs_the_same_for_one_row_and_for_many(
    browser: Client, lead: Account, django_assert_max_num_queries: Any
) -> None:
    for n in range(15):
        make.notice(Target.account(lead.pk), at=clock.now(), what=f"{n}")
    with django_assert_max_num_queries(30):
        browser.get(reverse("notices:supervision"))


def test_the_watch_keeps_its_address_to_itself(lead: Account) -> None:
    platform = people.account(right=RIGHTS, scope="everything")
    browser = people.client(platform)
    browser.post(
        reverse("notices:watch"),
        {"heartbeat_url": "https://beat.example.cn/ping/secret-77", "all_quiet": "on"},
    )
    page = browser.get(reverse("notices:watch")).content.decode()
    assert "secret-77" not in page
    assert Watch.objects.get().heartbeat_url == "https://beat.example.cn/ping/secret-77"
    browser.post(reverse("notices:watch"), {"stop_heartbeat": "on"})
    assert Watch.objects.get().heartbeat_url == ""


def test_without_a_robot_the_watch_says_whom_it_reaches(lead: Account) -> None:
    browser = people.client(people.account(right=RIGHTS, scope="everything"))
    address = reverse("notices:watch")
    assert "还没有群机器人渠道" in browser.get(address).content.decode()
    World(lead)
    assert "还没有群机器人渠道" not in browser.get(address).content.decode()


def test_a_kept_secret_has_a_chinese_word(browser: Client, lead: Account) -> None:
    row = make.channel("sms", institution=lead.institution, name="短信")
    row.secrets = '{"secret": "S-77"}'
    row.save()
    form = browser.get(reverse("notices:change_channel", args=[row.pk])).context["form"]
    assert form.fields["secret_secret"].label == "密钥"
    assert "密钥" in str(browser.get(reverse("notices:channel", args=[row.pk])).context["pairs"])


def test_an_escalation_is_called_by_what_happened(browser: Client, lead: Account) -> None:
    world = World(lead)
    policy = make.policy((0, [Target.account(lead.pk)]), at=clock.now(), institution=world.place)
    drill = start_escalation(
        policy=policy, subject=world.place, at=clock.now(), context={},
        institution_id=world.place.pk, label="冷链温度超限演练",
    )  # fmt: skip
    assert "冷链温度超限演练" in str(drill)
    listing = browser.get(reverse("admin:notices_escalation_changelist")).content.decode()
    assert "冷链温度超限演练" in listing
