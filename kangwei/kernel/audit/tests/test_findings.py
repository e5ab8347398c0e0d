"""Walking along a chain and naming what was done to it; hashes are computed by hand here."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.audit.rules.chain import GENESIS, canonical, link_hash
from kangwei.kernel.audit.rules.findings import Fault, LinkRow, Walk


def chain(count: int) -> list[LinkRow]:
    rows, previous = [], GENESIS
    for seq in range(1, count + 1):
        place = {"id": 100 + seq, "recorded_at": f"2026-01-01T00:00:0{seq % 10}.000000Z"}
        text = canonical({**place, "reason": f"第 {seq} 件"})
        made = link_hash(previous, text)
        rows.append(LinkRow(seq, 100 + seq, "2026-01", previous, made, text))
        previous = made
    return rows


def faults(rows: list[LinkRow]) -> list[tuple[Fault, int | None]]:
    walk = Walk(0, GENESIS)
    for row in rows:
        walk.step(row)
    return [(finding.fault, finding.seq) for finding in walk.finish()]


def test_an_untouched_chain_has_no_findings() -> None:
    assert faults(chain(5)) == []


def test_an_edited_entry_is_one_finding() -> None:
    rows = chain(5)
    rows[2] = replace(rows[2], text=rows[1].text.replace("第 2 件", "第 9 件"))  # type: ignore[union-attr]
    assert faults(rows) == [(Fault.EDITED, 3)]


def test_a_deleted_entry_is_named_by_its_link() -> None:
    rows = chain(5)
    rows[3] = replace(rows[3], text=None)
    assert faults(rows) == [(Fault.DELETED, 4)]


def test_a_link_deleted_with_its_entry_leaves_a_gap() -> None:
    rows = chain(6)
    del rows[2:4]
    walk = Walk(0, GENESIS)
    for row in rows:
        walk.step(row)
    (finding,) = walk.finish()
    assert (finding.fault, finding.seq) == (Fault.DELETED, 3)
    assert "第 3 至 4 号" in finding.message


def test_closing_the_gap_by_new_numbers_does_not_help() -> None:
    rows = chain(5)
    del rows[2]
    rows = [replace(row, seq=number) for number, row in enumerate(rows, start=1)]
    assert faults(rows) == [(Fault.BROKEN, 3)]


def test_exchanged_contents_are_told_from_edits() -> None:
    rows = chain(5)
    two, four = rows[1].text, rows[3].text
    assert two is not None
    assert four is not None
    # Each row keeps its number and its time and takes the rest of the other.
    rows[1] = replace(rows[1], text=four.replace("104", "102").replace(":04.", ":02."))
    rows[3] = replace(rows[3], text=two.replace("102", "104").replace(":02.", ":04."))
    assert faults(rows) == [(Fault.SWAPPED, 2)]


def test_exchanged_links_are_told_from_edits() -> None:
    rows = chain(5)
    rows[1], rows[3] = (
        replace(rows[1], text=rows[3].text, entry_id=104),
        replace(rows[3], text=rows[1].text, entry_id=102),
    )
    assert faults(rows) == [(Fault.SWAPPED, 2)]


def test_a_slipped_in_link_with_a_right_digest_is_named() -> None:
    rows = chain(4)
    text = canonical({"id": 999, "reason": "伪造"})
    forged = LinkRow(3, 999, "2026-01", rows[1].hash, link_hash(rows[1].hash, text), text)
    later = [replace(row, seq=row.seq + 1) for row in rows[2:]]
    assert faults([*rows[:2], forged, *later]) == [(Fault.INSERTED, 3)]


def test_a_second_link_of_the_same_number_is_named() -> None:
    rows = chain(4)
    text = canonical({"id": 999, "reason": "伪造"})
    forged = LinkRow(2, 999, "2026-01", rows[1].hash, link_hash(rows[1].hash, text), text)
    assert faults([*rows[:2], forged, *rows[2:]]) == [(Fault.INSERTED, 2)]


def test_an_unknown_algorithm_cannot_be_checked_and_says_so() -> None:
    rows = chain(3)
    rows[1] = replace(rows[1], algorithm="MD5")
    assert faults(rows) == [(Fault.BROKEN, 2)]


def test_entries_of_a_purged_month_are_passed_over_but_the_digests_must_fit() -> None:
    rows = [replace(row, text=None) for row in chain(3)]
    walk = Walk(0, GENESIS, frozenset({"2026-01"}))
    for row in rows:
        walk.step(row)
    assert walk.finish() == []
    assert walk.unread == 3


@given(st.integers(2, 12), st.data())
def test_any_single_edit_is_found_at_its_place(count: int, data: st.DataObject) -> None:
    rows = chain(count)
    place = data.draw(st.integers(0, count - 1))
    other = data.draw(st.text(min_size=1))
    text = canonical({"id": rows[place].entry_id, "reason": other})
    rows[place] = replace(rows[place], text=text)
    assert faults(rows) == [(Fault.EDITED, place + 1)]
