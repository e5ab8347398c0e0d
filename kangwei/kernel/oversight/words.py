"""Rights, states and findings in the words of the screens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.auth.models import Permission

from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Finding, State

STATE_TONES = {
    State.NORMAL: "neutral",
    State.DUE: "info",
    State.OVERDUE: "warn",
    State.CONFIRMED: "good",
    State.SUSPENDED: "bad",
    State.DISABLED: "neutral",
}


def state_badge(state: State) -> tuple[str, str]:
    return review.STATE_WORDS[state], STATE_TONES[state]


def finding_words(snapshot: Mapping[str, Any]) -> list[str]:
    return [review.FINDING_WORDS[Finding(word)] for word in snapshot.get("findings", [])]


def rights_words(rights: Iterable[str]) -> dict[str, str]:
    """`organisations.view_staff` → 查看 业务人员, for many rights with one query."""
    wanted = set(rights)
    rows = Permission.objects.filter(
        content_type__app_label__in={right.partition(".")[0] for right in wanted}
    ).values_list("content_type__app_label", "codename", "name")
    names = {f"{app}.{codename}": name for app, codename, name in rows}
    return {right: names.get(right, right) for right in sorted(wanted)}
