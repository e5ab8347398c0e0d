"""The chapter of notices in the demonstration world: channels, rosters, policies, an evening.

Every channel points at the stand-ins, so that the demonstration talks over the wire and tells
nobody outside. The history is told through services, at its own moments.
"""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings

from kangwei.kernel import clock
from kangwei.kernel.demonstration import Chapter, Progress, register_chapter
from kangwei.kernel.notices.models import (
    Address,
    Channel,
    ChannelKind,
    DutyRoster,
    EscalationPolicy,
    Watch,
)
from kangwei.kernel.notices.presets import presets
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import (
    LevelSpec,
    acknowledge_escalation,
    add_address,
    add_substitution,
    notify,
    save_channel,
    save_policy,
    save_roster,
    save_watch,
    sending,
    start_escalation,
    stop_escalation,
    verify_by_hand,
)
from kangwei.kernel.notices.services.escalating import tick
from kangwei.kernel.organisations.models import Account, Institution

#: What the stand-ins accept; they guard nothing.
TOKEN, SECRET = "demo-token", "SEC-kangwei-demo"


def register() -> None:
    register_chapter(Chapter("notices", "通知渠道、值班与升级", 30, tell, follow_stand_ins))


def follow_stand_ins(at: datetime) -> None:
    """The stand-ins listen elsewhere than when the world was told: point at them again."""
    for channel in Channel.objects.filter(address__contains="127.0.0.1:"):
        lead, host, rest = channel.address.partition("127.0.0.1:")
        port, slash, path = rest.partition("/")
        wanted = settings.STANDINS_PORT + (1 if channel.kind == ChannelKind.EMAIL else 0)
        if port != str(wanted):
            channel.address = f"{lead}{host}{wanted}{slash}{path}"
            save_channel(channel=channel, secrets=None, keepers=None, by=None, at=at)
    watch = Watch.objects.filter(pk=1).first()
    if watch is None or watch.heartbeat_url == _heartbeat():
        return
    if watch.heartbeat_url.startswith("http://127.0.0.1:"):
        save_watch(
            heartbeat_url=_heartbeat(),
            all_quiet=watch.all_quiet,
            channels=list(watch.channels.all()),
            by=None,
            at=at,
        )


def _heartbeat() -> str:
    return f"http://127.0.0.1:{settings.STANDINS_PORT}/heartbeat/ping"


def tell(random: random.Random, at: datetime, progress: Progress) -> None:
    if Channel.objects.exists():
        return
    people = list(
        Account.objects.active(at).select_related("institution").order_by("institution", "pk")[:60]
    )
    if not people:
        return
    progress(0, 5, "通知渠道")
    channels = _channels(people, at)
    progress(1, 5, "通知地址")
    _addresses(people, random, at)
    progress(2, 5, "值班表")
    rosters = _rosters(people, random, at)
    progress(3, 5, "升级策略")
    policies = _policies(channels, rosters, at)
    progress(4, 5, "通知与升级")
    _evening(people, channels, policies, at)
    progress(5, 5, "")


def _channels(people: list[Account], at: datetime) -> dict[str, Channel]:
    base = f"http://127.0.0.1:{settings.STANDINS_PORT}"
    robot = {"token": TOKEN, "secret": SECRET}
    gateway = next(p for p in presets() if p["name"] == "generic-hmac")["options"]
    described: list[tuple[str, str, str, str, dict[str, str], dict[str, Any], str]] = [
        ("voice", "语音电话", "voice", f"{base}/voice", {"secret": "sms-demo-secret"}, gateway, ""),
        ("sms", "短信平台", "sms", f"{base}/sms", {"secret": "sms-demo-secret"}, gateway, "voice"),
        ("spare", "运维备用群", "dingtalk", f"{base}/dingtalk-2", robot, {}, "sms"),
        ("group", "省平台运维群", "dingtalk", f"{base}/dingtalk", robot, {}, "spare"),
        ("wecom", "医院信息科群", "wecom", f"{base}/wecom", {"token": TOKEN}, {}, "sms"),
        ("feishu", "项目组飞书群", "feishu", f"{base}/feishu", robot, {}, "sms"),
        (
            "mail", "单位邮箱", "email", f"127.0.0.1:{settings.STANDINS_PORT + 1}", {},
            {"security": "none", "sender": "kangwei@example.cn", "sender_name": "康维"}, "sms",
        ),
        (
            "hook", "值班大屏推送", "webhook", f"{base}/webhook",
            {"secret": "webhook-demo-secret"}, {}, "",
        ),
    ]  # fmt: skip
    made: dict[str, Channel] = {}
    for order, (key, name, kind, address, secrets, options, fallback) in enumerate(described, 1):
        made[key] = save_channel(
            channel=Channel(
                name=name,
                kind=kind,
                address=address,
                options=options,
                per_minute=15 if kind in ("dingtalk", "wecom", "feishu") else 60,
                fallback=made.get(fallback),
                order=order * 10,
            ),
            secrets=secrets,
            keepers=people[:2],
            by=None,
            at=at,
        )
    save_watch(
        heartbeat_url=_heartbeat(),
        all_quiet=True,
        channels=[made["group"]],
        by=None,
        at=at,
    )
    return made


def _addresses(people: list[Account], random: random.Random, at: datetime) -> None:
    """Most people have a phone, many a mailbox; a few have nothing and are listed for it."""
    vouching = people[0]
    for person in people:
        if random.random() < 0.1:
            continue
        number = f"1390000{random.randrange(10_000):04d}"
        given = [(ChannelKind.SMS, number)]
        if random.random() < 0.6:
            given.append((ChannelKind.EMAIL, f"{person.username}@example.cn"))
        for kind, value in given:
            if Address.objects.filter(account=person, kind=kind).exists():
                continue
            address = add_address(account=person, kind=kind, value=value, by=person, at=at)
            if random.random() < 0.9:
                verify_by_hand(address=address, by=vouching, at=at, reason="入职登记表核对一致")


def _rosters(people: list[Account], random: random.Random, at: datetime) -> list[DutyRoster]:
    by_place: dict[Institution, list[Account]] = {}
    for person in people:
        by_place.setdefault(person.institution, []).append(person)
    places = [(place, staff) for place, staff in by_place.items() if len(staff) >= 2][:4]
    if not places:
        places = [(people[0].institution, people[:3])]
    today = clock.local_day(at)
    monday = today - timedelta(days=today.weekday() + 28)
    made = []
    for number, (place, staff) in enumerate(places, start=1):
        weekly = number % 2 == 1
        roster = save_roster(
            roster=DutyRoster(
                code=f"duty-{place.code.lower()}",
                name=f"{place.short_name}值班",
                institution=place,
                rotation="weekly" if weekly else "daily",
                handover=time(8, 30),
                starts_on=monday,
            ),
            members=staff[:6],
            rest_day_members=() if weekly else staff[:3],
            by=None,
            at=at,
        )
        made.append(roster)
        start = datetime.combine(today + timedelta(days=2), time(8, 30), clock.SHANGHAI)
        add_substitution(
            roster=roster,
            absent=staff[0],
            stands_in=staff[1],
            start=start,
            end=start + timedelta(days=2),
            reason=random.choice(["外出培训", "年休假", "病假"]),
            by=staff[0],
            at=at,
        )
    return made


def _policies(
    channels: dict[str, Channel], rosters: list[DutyRoster], at: datetime
) -> dict[str, EscalationPolicy]:
    duty = Target.duty(rosters[0].code)
    second = Target.duty(rosters[-1].code)
    group, spare = Target.robot(channels["group"].pk), Target.robot(channels["spare"].pk)
    ladders: dict[str, tuple[str, int, list[LevelSpec]]] = {
        "alert-critical": (
            "严重告警", 3,
            [
                LevelSpec(0, [duty, group], ["sms"]),
                LevelSpec(10, [second], ["sms"]),
                LevelSpec(20, [Target("role", role="institution_admin")], ["sms", "voice"]),
                LevelSpec(30, [Target("role", role="province_admin"), spare], ["voice"]),
            ],
        ),
        "alert-warning": (
            "一般告警", 1, [LevelSpec(0, [group]), LevelSpec(60, [duty], ["sms"])],
        ),
        "cold-chain": (
            "冷链预警", 3,
            [
                LevelSpec(0, [duty], ["sms"]),
                LevelSpec(15, [Target("role", role="county_admin"), group], ["sms"]),
                LevelSpec(30, [Target("role", role="city_admin"), spare], ["sms", "voice"]),
            ],
        ),
    }  # fmt: skip
    return {
        code: save_policy(
            policy=EscalationPolicy(code=code, name=name, priority=priority),
            levels=levels,
            by=None,
            at=at,
        )
        for code, (name, priority, levels) in ladders.items()
    }


def _evening(
    people: list[Account],
    channels: dict[str, Channel],
    policies: dict[str, EscalationPolicy],
    at: datetime,
) -> None:
    """A fault of the last hour that was told, taken and ended; one that nobody has taken yet;
    and ordinary messages for everybody. Each is sent at its own moment, so that it is not late;
    robots accept time stamps of the last hour only."""
    place = people[0].institution
    begun = at - timedelta(minutes=55)
    context = {
        "system": "预防接种信息系统", "asset": "主数据库", "what": "连接数超过阈值",
        "value": "952 / 900", "number": f"A-{begun:%Y%m%d}-0007",
    }  # fmt: skip
    ended = start_escalation(
        policy=policies["alert-critical"], subject=place, at=begun, context=context,
        label="接种系统主数据库连接数超限",
        institution_id=place.pk,
    )  # fmt: skip
    sending.run(now=lambda: begun)
    moment = begun + timedelta(minutes=10)
    tick(now=lambda: moment)
    sending.run(now=lambda: moment)
    acknowledge_escalation(escalation=ended, by=people[1], at=begun + timedelta(minutes=14))
    stop_escalation(
        escalation=ended, by=people[1], at=begun + timedelta(minutes=45),
        reason="连接池参数已调整，连接数恢复到 310",
    )  # fmt: skip
    sending.run(now=lambda: begun + timedelta(minutes=45))
    start_escalation(
        policy=policies["cold-chain"], subject=place, at=at - timedelta(minutes=1),
        label="二号冷库冷链温度超限演练",
        context={
            "system": "冷链监测", "asset": "二号冷库", "what": "温度 9.4℃，高于 8℃ 已 12 分钟",
            "value": "9.4 / 8.0 ℃", "number": f"C-{at:%Y%m%d}-0003",
        },
        institution_id=place.pk,
    )  # fmt: skip
    for person in people:
        notify(
            key=f"demonstration:welcome:{person.pk}",
            template="notices.all_quiet",
            context=_yesterday(clock.local_day(at) - timedelta(days=1)),
            to=[Target.account(person.pk)],
            at=at - timedelta(hours=2),
            priority="low",
            institution_id=person.institution_id,
        )
    notify(
        key="demonstration:group",
        template="notices.all_quiet",
        context=_yesterday(clock.local_day(at) - timedelta(days=1)),
        to=[Target.robot(channels["group"].pk), Target.robot(channels["wecom"].pk)],
        at=at - timedelta(minutes=1),
    )


def _yesterday(day: date) -> dict[str, Any]:
    return {
        "day": f"{day:%Y-%m-%d}", "verdict": "一切正常", "due": 128, "sent": 128, "failed": 0,
        "late": 0, "no_address": 3, "failing": "无", "running": 0,
    }  # fmt: skip
