"""Telling people something (通知): one act, whatever happens to the channels afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import models, transaction

from kangwei.kernel import clock
from kangwei.kernel.crypto import masking
from kangwei.kernel.notices import queries
from kangwei.kernel.notices.models import Delivery, Notice, Priority
from kangwei.kernel.notices.models.ledger import about_of
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import ways
from kangwei.kernel.notices.services.waking import wake

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
    place = institution_id if institution_id is not None else getattr(about, "institution_id", None)
    notice, fresh = Notice.objects.get_or_create(
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
            "targets": [target.as_json() for target in to],
            **ref,
        },
    )
    if fresh:
        found = ways.audience(to, institution_id=place, priority=level, at=at, avoid=avoid)
        rows = ways.deliveries(notice, found, at, avoid)
        # Two targets may lead to the same row; the database keeps one.
        Delivery.objects.bulk_create(rows, ignore_conflicts=True)
        wake()
    return notice
