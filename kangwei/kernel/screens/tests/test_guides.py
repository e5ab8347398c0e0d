"""Chapters of the guide: drawn without raw HTML, linked to each other, found by words."""

from __future__ import annotations

from pathlib import Path

import pytest

from kangwei.kernel.screens import guides


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(guides, "folder", lambda: tmp_path)
    (tmp_path / "README.md").write_text("[乙](乙.md) [甲](甲.md)", encoding="utf-8")
    (tmp_path / "甲.md").write_text(
        "# 机构管理\n\n开头。\n\n## 新增机构\n\n先选**区划**，再填名称。见[通知](乙.md#渠道)。\n\n"
        "## 新增机构\n\n第二次。\n\n| 列 | 值 |\n| --- | --- |\n| 一 | 二 |\n",
        encoding="utf-8",
    )
    (tmp_path / "乙.md").write_text(
        "# 通知\n\n## 渠道\n\n钉钉、短信。<script>alert(1)</script>\n\n[坏](javascript:alert(1))\n",
        encoding="utf-8",
    )
    (tmp_path / "丙.md").write_text("# 只有一句\n\n没有小节的章节。\n", encoding="utf-8")
    return tmp_path


def test_chapters_come_in_the_order_of_the_readme_then_by_name(shelf: Path) -> None:
    assert [chapter.name for chapter in guides.chapters()] == ["乙", "甲", "丙"]


def test_a_chapter_has_title_sections_and_distinct_anchors(shelf: Path) -> None:
    chapter = guides.chapter("甲")
    assert chapter is not None
    assert chapter.title == "机构管理"
    assert [section.anchor for section in chapter.sections] == ["新增机构", "新增机构-2"]
    assert 'id="新增机构-2"' in chapter.body
    assert "<table>" in chapter.body


def test_raw_html_and_script_addresses_do_not_pass(shelf: Path) -> None:
    chapter = guides.chapter("乙")
    assert chapter is not None
    assert "<script>" not in chapter.body
    assert 'href="javascript:' not in chapter.body


def test_a_link_to_another_chapter_leads_to_its_page(shelf: Path) -> None:
    chapter = guides.chapter("甲")
    assert chapter is not None
    assert 'href="/help/%E4%B9%99/#' in chapter.body


def test_search_wants_every_word_and_puts_titles_first(shelf: Path) -> None:
    assert [found.title for found in guides.search("新增 区划")] == ["机构管理 · 新增机构"]
    assert guides.search("钉钉")[0].title == "通知 · 渠道"
    assert guides.search("机构")[0].title.startswith("机构管理")
    assert guides.search("没有小节")[0].title == "只有一句 · 只有一句"
    assert guides.search("不存在的词") == []
    assert guides.search("   ") == []


def test_no_name_reaches_a_file_outside_the_shelf(shelf: Path) -> None:
    (shelf.parent / "secret.md").write_text("# 秘密", encoding="utf-8")
    assert guides.chapter("../secret") is None


def test_an_edited_file_is_read_again(shelf: Path) -> None:
    import os

    before = guides.chapter("丙")
    (shelf / "丙.md").write_text("# 改过\n\n新的。\n", encoding="utf-8")
    os.utime(shelf / "丙.md", ns=(1, 1))
    after = guides.chapter("丙")
    assert before is not None
    assert after is not None
    assert (before.title, after.title) == ("只有一句", "改过")


def test_initials_of_a_menu_title() -> None:
    assert guides.initials("机构管理") == "jggl"
