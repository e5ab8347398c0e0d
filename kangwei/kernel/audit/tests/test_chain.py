"""The canonical text and the digest of a link, without PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.audit.rules.chain import (
    GENESIS,
    Snapshot,
    canonical,
    link_hash,
    parse,
    sm3_hex,
    utc_text,
)


def test_keys_are_ordered_by_length_then_bytes() -> None:
    assert canonical({"bb": 1, "a": 2, "中": 3, "ab": 4}) == '{"a": 2, "ab": 4, "bb": 1, "中": 3}'


def test_text_is_not_escaped_beyond_what_json_demands() -> None:
    assert canonical('张三 "甲"\n\t\x01') == '"张三 \\"甲\\"\\n\\t\\u0001"'


def test_moments_are_utc_with_six_places() -> None:
    moment = datetime.fromisoformat("2026-01-01T00:00:00+08:00")
    assert utc_text(moment) == "2025-12-31T16:00:00.000000Z"
    assert canonical([moment, None, True]) == '["2025-12-31T16:00:00.000000Z", null, true]'


def test_a_float_has_no_single_spelling() -> None:
    with pytest.raises(TypeError):
        canonical({"dose": 0.5})
    assert canonical({"dose": Decimal("0.50")}) == '{"dose": 0.50}'


def test_a_link_binds_the_one_before_it() -> None:
    first = link_hash(GENESIS, "甲")
    assert first == sm3_hex(bytes(32) + "甲".encode())
    assert link_hash(first, "乙") != link_hash(GENESIS, "乙")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_reading_canonical_text_back_gives_the_same_text(value: object) -> None:
    assert canonical(parse(canonical(value))) == canonical(value)


def test_a_snapshot_saw_what_was_finished_and_not_what_was_running() -> None:
    snapshot = Snapshot.read("10:20:12,15")
    assert snapshot.saw(11)
    assert snapshot.saw(19)
    assert not snapshot.saw(12)
    assert not snapshot.saw(20)
    assert Snapshot.read("7:7:") == Snapshot(7, ())


def test_moments_are_read_in_any_zone() -> None:
    assert utc_text(datetime(2026, 5, 1, 3, tzinfo=UTC)).startswith("2026-05-01T03:00")
