"""The world is told through services, twice the same, and lets a visitor in at once."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client, override_settings

from kangwei.kernel import clock, demonstration
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    Grant,
    Institution,
    InstitutionKind,
    Qualification,
    Region,
    Role,
    SignInEvent,
    Staff,
)
from kangwei.kernel.organisations.services import passwords, sign_in
from kangwei.kernel.oversight import chapter, snapshots
from kangwei.kernel.oversight import queries as oversight
from kangwei.kernel.oversight.models import REVIEW_RIGHT, ReviewCampaign, ReviewItem
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.services import signature_holds
from kangwei.kernel.reporting.models import DocumentVersion, Snapshot
from kangwei.web.world import accounts
from kangwei.web.world.chapters import people

AT = datetime(2026, 11, 20, 8, tzinfo=UTC)


def silent(done: int, total: int, note: str = "") -> None:
    """Nobody watches a test."""


def tell() -> None:
    people.tell(Random("20261120:people"), AT, silent)


@pytest.mark.django_db
def test_the_first_chapter_told_twice_is_one_world() -> None:
    tell()
    lines = Entry.objects.count()
    tell()
    assert Entry.objects.count() == lines, "the second telling did nothing"
    assert Institution.objects.count() == 46
    assert Institution.objects.filter(kind__group="医院", grade__startswith="3").count() >= 2
    groups = set(InstitutionKind.objects.filter(institution__isnull=False).values_list("group"))
    assert len(groups) >= 7
    for code in people.HOSPITALS:
        assert Department.objects.filter(institution__code=code).count() >= 9
    assert Staff.objects.count() == people.PEOPLE + len(accounts.CAST)
    assert (
        Region.objects.filter(code__startswith="61", level="county", valid_to=None).count() == 107
    )
    assert Region.objects.filter(merged_into__isnull=False).count() == 11
    assert Qualification.objects.filter(valid_until__lt=AT.date()).exists()
    assert Grant.objects.filter(lent_from__isnull=False).count() == 1
    assert SignInEvent.objects.filter(kind="success").count() > 100
    locked = SignInEvent.objects.get(kind="locked")
    assert sign_in.locked_until(locked.username, AT) is not None


@pytest.mark.django_db
def test_the_chapter_of_oversight_leaves_rounds_in_every_state_and_sealed_paper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demonstration, "_accounts", {})
    demonstration.show_accounts(*accounts.shown())
    tell()
    at = clock.now()
    for _ in range(2):
        chapter.tell(Random("20261120:oversight"), at, silent)
        lines = Entry.objects.count()
    chapter.tell(Random("20261120:oversight"), at, silent)
    assert Entry.objects.count() == lines
    assert set(ReviewCampaign.objects.values_list("state", flat=True)) == {"open", "closed"}
    items = ReviewItem.objects
    assert items.filter(in_bulk=True).exists()
    assert items.filter(decision="", suspended_at__isnull=False).exists()
    assert items.exclude(decision="").filter(suspended_at__isnull=False).exists(), "brought back"
    assert all(signature_holds(item) for item in items.exclude(decision=""))
    assert unchanged_since_last_year() >= 1
    assert Snapshot.objects.count() == 2
    assert DocumentVersion.objects.get().state == "sealed"


def unchanged_since_last_year() -> int:
    """Accounts still waiting that the province or the city may confirm in bulk."""
    waiting = ReviewItem.objects.filter(
        decision="", suspended_at=None, campaign__state="open"
    ).select_related("account", "institution")
    reviewed = oversight.last_powers([item.account_id for item in waiting])
    reviewers = Account.objects.filter(username__in=("province", "city"))
    return sum(
        not review.bulk_obstacles(
            reviewed=reviewed.get(item.account_id),
            now=snapshots.powers(item.snapshot),
            exceptions=snapshots.findings(item.snapshot),
        )
        and any(by.scope(REVIEW_RIGHT).includes(item.institution_id) for by in reviewers)
        for item in waiting
    )


@pytest.mark.django_db
def test_every_built_in_role_has_an_account_that_gets_in() -> None:
    assert accounts.make(AT) == len(accounts.CAST)
    assert accounts.make(AT) == 0
    assert {part.role for part in accounts.CAST} == set(
        Role.objects.filter(built_in=True).values_list("code", flat=True)
    )
    for part in accounts.CAST:
        account = Account.objects.get(username=part.username)
        assert account.check_password(accounts.PASSWORD)
        assert passwords.problems(account, accounts.PASSWORD) == []
        assert account.must_change_password is not part.waived
        assert len(account.access.grants) == 1
        assert account.staff is not None
        assert account.staff.get_sex_display() == ("男" if part.name in accounts.MEN else "女")


@pytest.mark.django_db
def test_shown_accounts_reach_home_and_the_newcomer_is_sent_to_change_his_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts.make(AT)
    monkeypatch.setattr(demonstration, "_accounts", {})
    demonstration.show_accounts(*accounts.shown())

    def enter(username: str) -> Any:
        browser = Client()
        return browser.post(
            "/sign-in/", {"username": username, "password": accounts.PASSWORD}, follow=True
        )

    assert enter("admin").redirect_chain[-1][0] == "/"
    assert "password" in enter("newcomer").redirect_chain[-1][0]
    listing = Client().get("/sign-in/").content.decode()
    assert "演示账号" in listing
    assert accounts.PASSWORD in listing


@pytest.mark.django_db
def test_outside_the_demonstration_nothing_is_shown_waived_or_filled() -> None:
    assert demonstration.shown_accounts() == []
    assert not demonstration.is_waived("admin")
    assert "演示账号" not in Client().get("/sign-in/").content.decode()
    with override_settings(DEMO=False):
        for command in ("fill_world", "demo_accounts"):
            with pytest.raises(CommandError, match="演示模式"):
                call_command(command)
    assert not Account.objects.exists()
