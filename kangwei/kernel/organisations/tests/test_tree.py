"""The institution tree: dated parents, no rings, and a closure that equals its rebuilding."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kangwei.kernel.audit import queries as audit
from kangwei.kernel.organisations import queries, services, tree
from kangwei.kernel.organisations.models import (
    Institution,
    InstitutionClosure,
    InstitutionParent,
)
from kangwei.kernel.organisations.services.institutions import (
    InstitutionClosed,
    InstitutionInUse,
    ParentMakesRing,
)
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)


def move(institution: Institution, parent: Institution | None, on: date = TODAY) -> None:
    services.move_institution(institution=institution, parent=parent, on=on, by=None, at=AT)


def test_moving_carries_the_whole_subtree() -> None:
    province, city, other = make.institution(), make.institution(), make.institution()
    county = make.institution(parent=city)
    clinic = make.institution(parent=county)
    move(city, province)
    assert list(queries.superiors(clinic)) == [county, city, province]
    move(county, other)
    assert list(queries.superiors(clinic)) == [county, other]
    assert set(queries.subtree(city)) == {city}


def test_history_keeps_who_was_above_on_each_day() -> None:
    before, after = make.institution(), make.institution()
    clinic = make.institution(parent=before)
    move(clinic, after)
    assert queries.parent_of(clinic, TODAY - timedelta(days=1)) == before
    assert queries.parent_of(clinic, TODAY) == after


def test_a_planned_move_takes_effect_on_its_day_by_the_nightly_run() -> None:
    before, after = make.institution(), make.institution()
    clinic = make.institution(parent=before)
    tomorrow = TODAY + timedelta(days=1)
    move(clinic, after, tomorrow)
    assert list(queries.superiors(clinic)) == [before]
    assert services.rebuild_closure(at=AT) == 0
    assert services.rebuild_closure(at=AT + timedelta(days=1)) == 2
    assert list(queries.superiors(clinic)) == [after]


def test_a_ring_is_refused_and_leaves_everything_as_it_was() -> None:
    top = make.institution("甲")
    below = make.institution("乙", parent=top)
    lowest = make.institution("丙", parent=below)
    with pytest.raises(ParentMakesRing, match=r"丙.*隶属于.*甲"):
        move(top, lowest)
    assert list(queries.superiors(lowest)) == [below, top]
    assert InstitutionParent.objects.filter(institution=top).count() == 0


def test_a_ring_that_a_planned_move_would_close_is_refused() -> None:
    first, second = make.institution(), make.institution()
    move(first, second, TODAY + timedelta(days=30))
    with pytest.raises(ParentMakesRing):
        move(second, first)


def test_two_parents_at_once_are_refused_by_the_database() -> None:
    clinic = make.institution(parent=make.institution())
    with pytest.raises(IntegrityError), transaction.atomic():
        InstitutionParent.objects.create(
            institution=clinic, parent=make.institution(), valid_from=TODAY
        )


def test_a_period_ends_before_the_next_begins_on_the_same_day() -> None:
    clinic = make.institution(parent=make.institution())
    move(clinic, make.institution())
    first, second = InstitutionParent.objects.filter(institution=clinic)
    assert first.valid_to == second.valid_from == TODAY


def test_closing_is_refused_while_somebody_stands_below() -> None:
    county = make.institution("雁塔区疾控中心")
    clinic = make.institution("小寨接种门诊", parent=county)
    with pytest.raises(InstitutionInUse, match="小寨接种门诊"):
        services.close_institution(institution=county, on=TODAY, by=None, at=AT, reason="撤并")
    services.close_institution(institution=clinic, on=TODAY, by=None, at=AT, reason="撤并")
    services.close_institution(institution=county, on=TODAY, by=None, at=AT, reason="撤并")
    assert not Institution.objects.get(pk=county.pk).is_open(TODAY)
    assert Institution.objects.get(pk=county.pk).is_open(TODAY - timedelta(days=1))


def test_closing_disables_accounts_and_nobody_can_be_put_below_it() -> None:
    clinic = make.institution()
    nurse = make.account(institution=clinic)
    services.close_institution(institution=clinic, on=TODAY, by=None, at=AT, reason="停业")
    nurse.refresh_from_db()
    assert nurse.state == "disabled"
    with pytest.raises(InstitutionClosed):
        move(make.institution(), clinic)


def test_nobody_closes_the_institution_he_works_at() -> None:
    clinic = make.institution()
    chief = make.account(institution=clinic)
    with pytest.raises(InstitutionInUse, match="自己所在"):
        services.close_institution(institution=clinic, on=TODAY, by=chief, at=AT, reason="停业")


def test_merging_moves_those_below_people_and_accounts() -> None:
    old, new = make.institution("老中心"), make.institution("新中心")
    clinic = make.institution(parent=old)
    nurse = make.staff(old)
    account = make.account(institution=old, staff=nurse)
    services.merge_institutions(
        institution=old, into=new, on=TODAY, by=None, at=AT, reason="机构改革"
    )
    old.refresh_from_db()
    nurse.refresh_from_db()
    account.refresh_from_db()
    assert (old.merged_into, old.closed_on) == (new, TODAY)
    assert list(queries.superiors(clinic)) == [new]
    assert nurse.institution == account.institution == new
    assert account.state == "active"
    assert audit.history(old)[0].title == "合并机构"


def test_the_command_says_how_much_it_mended() -> None:
    clinic = make.institution(parent=make.institution())
    InstitutionClosure.objects.filter(descendant=clinic, depth=1).delete()
    call_command("rebuild_closure", verbosity=0)
    assert queries.superiors(clinic).count() == 1


@given(
    moves=st.lists(
        st.tuples(st.integers(0, 5), st.none() | st.integers(0, 5), st.integers(-3, 3)),
        max_size=10,
    )
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_kept_equals_rebuilt_and_a_slow_model_agrees(
    moves: list[tuple[int, int | None, int]],
) -> None:
    """A dictionary per day is the slow, obvious model of who stands above whom."""
    with transaction.atomic():
        members = [make.institution() for _ in range(6)]
        days = [TODAY + timedelta(days=offset) for offset in range(-3, 4)]
        model: dict[date, dict[int, int]] = {day: {} for day in days}
        for child, parent, offset in moves:
            on = TODAY + timedelta(days=offset)
            wanted = {day: dict(links) for day, links in model.items()}
            for day in days:
                if day >= on:
                    wanted[day].pop(child, None)
                    if parent is not None:
                        wanted[day][child] = parent
            refused = parent == child or any(_has_ring(links) for links in wanted.values())
            try:
                with transaction.atomic():
                    move(members[child], None if parent is None else members[parent], on)
            except ParentMakesRing:
                assert refused
            else:
                assert not refused
                model = wanted
        keys = {member.pk: index for index, member in enumerate(members)}
        for day in days:
            kept = {keys[c]: keys[p] for c, p in tree.parents_on(day).items() if c in keys}
            assert kept == model[day]
        assert tree.rebuild_closure(TODAY) == 0
        transaction.set_rollback(True)


def _has_ring(links: dict[int, int]) -> bool:
    for start in links:
        seen, here = {start}, links[start]
        while here in links and here not in seen:
            seen.add(here)
            here = links[here]
        if here in seen:
            return True
    return False
