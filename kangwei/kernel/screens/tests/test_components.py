"""Small building blocks of pages."""

from __future__ import annotations

from kangwei.kernel.screens.templatetags.kw import code_words


def test_names_between_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert code_words("输入：`date` 与 `a<b`") == "输入：<code>date</code> 与 <code>a&lt;b</code>"
    assert code_words("<b>单个 ` 照写") == "&lt;b&gt;单个 ` 照写"
