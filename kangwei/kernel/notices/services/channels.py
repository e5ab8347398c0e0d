"""Channels, texts and the watch: set up by administrators, tested by a real message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Max

from kangwei.kernel.audit import services as audit
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import (
    Channel,
    ChannelHealth,
    ChannelKind,
    Delivery,
    TemplateVersion,
    Watch,
)
from kangwei.kernel.notices.models.channels import PERSONAL_KINDS
from kangwei.kernel.notices.refusals import BadChannel, NoWay, ReasonMissing, UnknownWord
from kangwei.kernel.notices.registry import Words
from kangwei.kernel.notices.senders.mail import SECURITIES
from kangwei.kernel.notices.senders.templated import BadRecipe, Recipe
from kangwei.kernel.notices.services.checking import checked
from kangwei.kernel.notices.services.notifying import tell_directly
from kangwei.kernel.notices.texts import CHANNEL_TEST
from kangwei.kernel.organisations.models import Account

SCHEMES = ("http", "https")


@transaction.atomic
def save_channel(
    *,
    channel: Channel,
    secrets: Mapping[str, str] | None,
    keepers: Sequence[Account] | None,
    by: Account | None,
    at: datetime,
) -> Channel:
    """Save a channel. `secrets` None leaves them as they are; an empty value deletes one."""
    fresh = channel.pk is None
    if secrets is not None:
        kept: dict[str, str] = {} if fresh else json.loads(channel.secrets or "{}")
        kept |= {name: value.strip() for name, value in secrets.items()}
        channel.secrets = json.dumps({k: v for k, v in kept.items() if v}, ensure_ascii=False)
    _check(channel)
    checked(channel, BadChannel, exclude=["secrets"])
    channel.save()
    ChannelHealth.objects.get_or_create(channel=channel)
    if keepers is not None:
        channel.keepers.set(keepers)
    audit.record(
        act="notices.channel.saved",
        subject=channel,
        by=by,
        at=at,
        detail={
            "kind": channel.kind,
            "address": channel.address,
            "secrets": sorted(secrets or {}),  # names only
            "enabled": channel.enabled,
        },
    )
    return channel


def _check(channel: Channel) -> None:
    """What would fail at the first message is refused when it is saved."""
    address = channel.address.strip()
    if channel.kind == ChannelKind.EMAIL:
        if urlsplit(address if "//" in address else f"//{address}").hostname is None:
            raise BadChannel("邮件服务地址应形如 smtp.example.cn:587。", field="address")
        if channel.options.get("security", "starttls") not in SECURITIES:
            raise BadChannel(f"安全方式只能是 {'、'.join(SECURITIES)}。", field="options")
        if "@" not in str(channel.options.get("sender", "")):
            raise BadChannel("请在参数 sender 中填写发件邮箱地址。", field="options")
    else:
        parts = urlsplit(address)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise BadChannel(
                f"服务地址“{address}”应以 http:// 或 https:// 开头并含主机名。", field="address"
            )
    if channel.is_robot and ("access_token=" in address or "key=" in address):
        raise BadChannel(
            "服务地址只填基础地址，机器人令牌请填入“令牌”一栏，令牌会加密保存。", field="address"
        )
    if channel.kind in (ChannelKind.SMS, ChannelKind.VOICE):
        try:
            Recipe.read(channel.options, channel.line().secrets)
        except BadRecipe as error:
            raise BadChannel(str(error), field="options") from None
    fallback = channel.fallback
    while fallback is not None:
        if fallback.pk == channel.pk:
            raise BadChannel("备用渠道绕回了本渠道，请改选。", field="fallback")
        fallback = fallback.fallback


@transaction.atomic
def test_channel(*, channel: Channel, recipient: str, by: Account | None, at: datetime) -> Delivery:
    """Queue a real test message (发送测试) over this very channel, even a stopped one.

    What came of it stands in the delivery a moment later.
    """
    recipient = recipient.strip()
    if channel.kind in PERSONAL_KINDS and not recipient:
        raise NoWay("请填写测试消息的接收地址。", field="recipient")
    audit.record(act="notices.channel.tested", subject=channel, by=by, at=at)
    return tell_directly(
        channel=channel,
        recipient=recipient if channel.kind in PERSONAL_KINDS else "",
        template=CHANNEL_TEST.code,
        context={"channel": channel.name},
        about=channel,
        at=at,
    )


@transaction.atomic
def edit_template(
    *, code: str, title: str, body: str, short: str, note: str, by: Account, at: datetime
) -> TemplateVersion:
    """Write a new version of a template's texts; earlier ones stay."""
    declared = queries.template(code)
    if not note.strip():
        raise ReasonMissing("请填写修改说明。", field="note")
    words = Words(title.strip(), body.strip(), short.strip())
    if not (words.title and words.body and words.short):
        raise UnknownWord("标题、正文和短文本都不能为空。", field="title")
    if unknown := declared.unknown(words):
        known = "、".join(variable.name for variable in declared.all_variables)
        raise UnknownWord(
            f"模板用到了未定义的变量“{unknown[0]}”，可用变量：{known}。", field="body"
        )
    newest = TemplateVersion.objects.filter(template=code).aggregate(most=Max("number"))["most"]
    version = TemplateVersion(
        template=code,
        number=(newest or 0) + 1,
        title=words.title,
        body=words.body,
        short=words.short,
        note=note,
        created_at=at,
        created_by=by,
    )
    checked(version, UnknownWord)
    version.save()
    audit.record(act="notices.template.edited", subject=version, by=by, at=at, reason=note)
    return version


@transaction.atomic
def save_watch(
    *,
    heartbeat_url: str | None,
    all_quiet: bool,
    channels: Sequence[Channel],
    by: Account | None,
    at: datetime,
) -> Watch:
    """Set where the heartbeat goes and where the morning message is sent. None leaves the
    heartbeat's address, which is not shown again, as it is."""
    watch, _ = Watch.objects.get_or_create(pk=1)
    if heartbeat_url is not None:
        url = heartbeat_url.strip()
        if url and urlsplit(url).scheme not in SCHEMES:
            raise BadChannel("心跳地址应以 http:// 或 https:// 开头。", field="heartbeat_url")
        watch.heartbeat_url = url
    watch.all_quiet = all_quiet
    watch.save()
    watch.channels.set(channels)
    audit.record(
        act="notices.watch.saved",
        subject=watch,
        by=by,
        at=at,
        detail={"all_quiet": all_quiet, "channels": [c.pk for c in channels]},
    )
    return watch


def preset_options(name: str) -> dict[str, Any]:
    """The description of a known SMS or voice provider, to be filled with one's own values."""
    from kangwei.kernel.notices.presets import presets

    for preset in presets():
        if preset["name"] == name:
            return dict(preset["options"])
    raise BadChannel(f"没有名为“{name}”的服务商预设，请从列表中选择。", field="preset")
