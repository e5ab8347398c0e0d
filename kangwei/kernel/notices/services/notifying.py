"""Telling people something (通知): one act, whatever happens to the channels afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import models, transaction

from kangwei.kernel import clock
from kangwei.kernel.crypto import masking
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import Channel, Delivery, Notice, Priority
from kangwei.kernel.notices.models.ledger import about_of
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import ways
from kangwei.kernel.notices.services.waking import wake
from kangwei.kernel.organisations.models import Account

PRIORITIES = {"low": 0, "normal": 1, "high": 2, "urgent": 3}


@transaction.atomic
def notify(
    *,
    key: str,
    template: str,
    context: Mapping[str, Any],
    to: Sequence[Target],
    at: datetime,
    priority: str | int = "normal",
    about: models.Model | None = None,
    institution_id: int | None = None,
    link: str = "",
    thread: str = "",
    avoid: Sequence[int] = (),
) -> Notice:
    """Tell `to` something, in the caller's transaction; sending happens after it commits.

    The same key twice is one notice: a repeated act tells nobody a second time. `about` is the
    object the notice is about, `thread` groups notices of one matter, `avoid` names channels that
    must not carry it. The institution is that of the object unless given.
    """
    level = PRIORITIES[priority] if isinstance(priority, str) else priority
    place = institution_id if institution_id is not None else getattr(about, "institution_id", None)
    notice, fresh = write(
        key=key, template=template, context=context, at=at, level=level, about=about, place=place,
        link=link, thread=thread, targets=[target.as_json() for target in to],
    )  # fmt: skip
    if fresh:
        found = ways.audience(to, institution_id=place, priority=level, at=at, avoid=avoid)
        rows = ways.deliveries(notice, found, at, avoid)
        # Two targets may lead to the same row; the database keeps one.
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
        wake()
    return notice


@transaction.atomic
def tell_directly(
    *,
    channel: Channel,
    recipient: str = "",
    account: Account | None = None,
    template: str,
    context: Mapping[str, Any],
    secret: str = "",
    about: models.Model,
    at: datetime,
) -> Delivery:
    """Tell over exactly this channel, once, while somebody waits for what it answers.

    Preferences, quiet hours and fallbacks do not count here. `secret` is what only the receiver
    may read: `context` holds ****** in its place.
    """
    level = Priority.HIGH
    place = account.institution_id if account is not None else channel.institution_id
    notice, _ = write(
        key=f"{template}:{uuid.uuid4()}", template=template, context=context, at=at, level=level,
        about=about, place=place, link="", thread="", targets=[],
    )  # fmt: skip
    row = ways.straight(notice, channel, at, account=account, recipient=recipient)
    row.only_here, row.secret = True, secret
    row.save()
    wake()
    return row


def write(
    *,
    key: str,
    template: str,
    context: Mapping[str, Any],
    at: datetime,
    level: int,
    about: models.Model | None,
    place: int | None,
    link: str,
    thread: str,
    targets: list[dict[str, Any]],
) -> tuple[Notice, bool]:
    """The notice itself with its texts filled; False when its key was told before."""
    declared = queries.template(template)
    version, words = queries.current_words(declared)
    ref = about_of(about)
    facts = {
        "about": ref["about_label"],
        "time": f"{at.astimezone(clock.SHANGHAI):%Y-%m-%d %H:%M}",
        "priority": Priority(level).label,
        "link": link,
        **context,
    }
    rendered = declared.render(words, facts)
    return Notice.objects.get_or_create(
        key=key,
        defaults={
            "template": template,
            "template_version": version,
            "context": declared.masked(facts, masking.PARTLY),
            "title": rendered.title,
            "body": rendered.body,
            "short": rendered.short,
            "priority": level,
            "at": at,
            "institution_id": place,
            "link": link,
            "thread": thread,
            "targets": targets,
            **ref,
        },
    )
