"""Texts: placeholders, bytes, HTML, merged messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.notices.rules.texts import (
    as_html,
    cut_bytes,
    digest,
    fill,
    for_json,
    placeholders,
    plain,
)


def test_a_missing_value_is_seen_and_not_guessed() -> None:
    assert fill("{{ system }} 自 {{ since }}", {"system": "HIS", "since": ""}) == "HIS 自 —"


def test_a_dotted_name_reads_a_part_and_never_an_attribute() -> None:
    values = {"ticket": {"number": "T-1"}, "name": "x"}
    text = "{{ ticket.number }} {{ name.__class__ }} {{ name.upper }}"
    assert fill(text, values) == "T-1 — —"


def test_placeholders_are_the_first_parts() -> None:
    assert placeholders("{{ a.b }} {{c}} {{ a }}") == {"a", "c"}


def test_a_value_cannot_break_out_of_a_json_string() -> None:
    assert fill('{"text":"{{ t }}"}', {"t": '"},{"x'}, for_json) == '{"text":"\\"},{\\"x"}'


def test_four_kilobytes_are_1365_chinese_characters_not_4096() -> None:
    cut = cut_bytes("库" * 2000, 4096)
    assert len(cut.encode()) <= 4096
    assert cut == "库" * 1364 + "…"


@given(st.text(max_size=200), st.integers(3, 300))
def test_a_cut_text_is_never_longer_and_never_torn(text: str, limit: int) -> None:
    cut = cut_bytes(text, limit)
    assert len(cut.encode()) <= limit
    assert text.startswith(cut.removesuffix("…")) or cut == text


def test_plain_text_keeps_the_words_and_the_address() -> None:
    text = plain("### 标题\n\n- **系统**：HIS\n> 注意\n[查看](/a)")
    assert text == "标题\n\n- 系统：HIS\n注意\n查看 /a"


def test_html_escapes_what_came_from_outside() -> None:
    html = as_html("### <script>\n- **a** & b\n- c\n\n[x](javascript:alert) [y](https://a.cn/?a=1)")
    assert "<h3>&lt;script&gt;</h3>" in html
    assert "<ul>\n<li><strong>a</strong> &amp; b</li>\n<li>c</li>\n</ul>" in html
    assert "href" not in html.split("y</a>")[0].split("[x]")[0]
    assert '<a href="https://a.cn/?a=1">y</a>' in html


def test_a_merged_message_counts_what_it_cannot_show() -> None:
    items = [("紧急", "08:00", "断电"), *[("一般", "08:01", f"通知{n}") for n in range(99)]]
    title, text = digest(items, 1000)
    assert title == "合并通知 100 条"
    assert "紧急 1 条，一般 99 条" in text
    shown = text.count("\n- ")
    assert 0 < shown < 100
    assert f"其余 {100 - shown} 条请在“通知送达”页面查看。" in text
    assert text.index("断电") < text.index("通知0")


@given(st.lists(st.text(max_size=80), min_size=1, max_size=40), st.integers(400, 4000))
def test_a_merged_message_fits_and_accounts_for_everything(titles: list[str], limit: int) -> None:
    clean = [title.replace("\n", " ").replace("\r", " ") for title in titles]
    _, text = digest([("一般", "08:00", title) for title in clean], limit)
    assert len(text.encode()) <= limit
    shown = text.count("\n- **一般** 08:00 ")
    hidden = int(text.split("其余 ")[-1].split(" 条")[0]) if "其余 " in text else 0
    assert shown + hidden == len(titles) or any("其余 " in title for title in titles)
