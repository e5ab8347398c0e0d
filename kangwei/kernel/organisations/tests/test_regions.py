"""Regions: codes that nest, dates, merges, published lists."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from kangwei.kernel import clock
from kangwei.kernel.organisations import queries, services
from kangwei.kernel.organisations.models import Region
from kangwei.kernel.organisations.services.regions import (
    RegionCodeUnfit,
    RegionExists,
    RegionNotMergeable,
)
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DAY = date(2026, 3, 2)


def test_the_level_and_the_parent_follow_from_the_code() -> None:
    make.region("610113000000")
    street = services.add_region(
        code="610113001", name="小寨路街道", valid_from=DAY, by=None, at=AT
    )
    assert (street.code, street.level, street.parent_id) == (
        "610113001000",
        "township",
        "610113000000",
    )
    assert street.pinyin == "xzljd"
    assert [r.prefix for r in queries.region_path(street)] == ["61", "6101", "610113", "610113001"]


def test_a_county_of_the_province_stands_below_the_province() -> None:
    make.region("420000000000")
    county = services.add_region(code="429004", name="仙桃市", valid_from=DAY, by=None, at=AT)
    assert (county.level, county.parent_id) == ("county", "420000000000")


@pytest.mark.parametrize("code", ["", "61011", "abc", "0101", "６１０１１３", "6101130010001"])
def test_a_malformed_code_is_refused(code: str) -> None:
    with pytest.raises(RegionCodeUnfit):
        services.add_region(code=code, name="某地", valid_from=DAY, by=None, at=AT)


def test_a_missing_parent_and_a_known_code_are_refused_in_words() -> None:
    with pytest.raises(RegionCodeUnfit, match="上级 630000000000 尚未登记"):
        services.add_region(code="6301", name="西宁市", valid_from=DAY, by=None, at=AT)
    make.region("610000000000")
    with pytest.raises(RegionExists):
        services.add_region(code="610000", name="陕西省", valid_from=DAY, by=None, at=AT)


@pytest.mark.parametrize(
    ("code", "level", "parent"),
    [
        ("620100000000", "city", "610000000000"),
        ("610114000000", "city", "610000000000"),
        ("610113001000", "township", "610112000000"),
        ("612200000000", "city", None),
    ],
)
def test_the_database_refuses_a_code_that_does_not_nest(
    code: str, level: str, parent: str | None
) -> None:
    make.region("610000000000")
    make.region("610112000000")
    nesting = pytest.raises(IntegrityError, match="code_nests_under_parent")
    with nesting, transaction.atomic():
        Region.objects.create(code=code, level=level, parent_id=parent, name="错", valid_from=DAY)


def test_merging_ends_the_region_and_moves_its_institutions() -> None:
    old, new = make.region("610126000000", "高陵县"), make.region("610117000000", "高陵区")
    clinic = make.institution(region=old)
    moved = services.merge_regions(regions=[old], into=new, on=DAY, by=None, at=AT)
    clinic.refresh_from_db()
    old.refresh_from_db()
    assert moved == 1
    assert clinic.region == new
    assert (old.valid_to, old.merged_into) == (DAY, new)
    assert old not in Region.objects.in_force(DAY)
    assert old in Region.objects.in_force(date(2026, 3, 1))


def test_a_merger_is_done_on_its_day_because_scope_follows_at_once() -> None:
    old, new = make.region("610126000000"), make.region("610117000000")
    clinic = make.institution(region=old)
    tomorrow = clock.local_day(AT) + timedelta(days=1)
    with pytest.raises(RegionNotMergeable, match="尚未到来"):
        services.merge_regions(regions=[old], into=new, on=tomorrow, by=None, at=AT)
    clinic.refresh_from_db()
    assert clinic.region == old


def test_merging_is_refused_across_levels_twice_and_with_regions_below() -> None:
    county, other = make.region("610126000000"), make.region("610117000000")
    city = make.region("610100000000")
    with pytest.raises(RegionNotMergeable, match="级别不同"):
        services.merge_regions(regions=[county], into=city, on=DAY, by=None, at=AT)
    make.region("610126001000")
    with pytest.raises(RegionNotMergeable, match="1 个有效的下级"):
        services.merge_regions(regions=[county], into=other, on=DAY, by=None, at=AT)
    with pytest.raises(RegionNotMergeable, match="自身"):
        services.merge_regions(regions=[other], into=other, on=DAY, by=None, at=AT)


def test_a_published_list_may_be_taken_over_twice_and_keeps_successors() -> None:
    entries = [
        {"code": "610117", "name": "高陵区", "valid_from": "2014-12-01"},
        {"code": "610126", "name": "高陵县", "valid_from": "2008-02-01",
         "valid_to": "2014-12-01", "successor": "610117"},
        {"code": "610100", "name": "西安市", "valid_from": "2008-02-01"},
        {"code": "610000", "name": "陕西省", "valid_from": "2008-02-01"},
    ]  # fmt: skip
    assert services.import_regions(entries=entries, by=None, at=AT) == 4
    assert services.import_regions(entries=entries, by=None, at=AT) == 0
    assert Region.objects.get(code="610126000000").merged_into_id == "610117000000"
