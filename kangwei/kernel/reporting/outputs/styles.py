"""What a style template must offer: its styles, and the fields it may name.

Plain words, apart from the writing of Word: a page that lists them loads no Word library.
"""

from __future__ import annotations

from ..rules.layout import Face

#: Role of a style → its name in Word; a customer's template may map a role to a style of its own.
STYLES: dict[str, str] = {
    "title": "Title",
    "subtitle": "Subtitle",
    "heading1": "Heading 1",
    "heading2": "Heading 2",
    "heading3": "Heading 3",
    "text": "Body Text",
    "bullet": "List Bullet",
    "number": "List Number",
    "caption": "Caption",
    "table": "Table Grid",
}
STYLE_TITLES: dict[str, str] = {
    "title": "文档标题",
    "subtitle": "副标题",
    "heading1": "一级标题",
    "heading2": "二级标题",
    "heading3": "三级标题",
    "text": "正文",
    "bullet": "项目符号",
    "number": "编号",
    "caption": "题注",
    "table": "表格",
}


def fields(face: Face) -> dict[str, str]:
    """What a template may name between double braces."""
    return {
        "标题": face.title,
        "副标题": face.subtitle,
        "机构": face.institution,
        "期间": face.period,
        "编号": face.number,
        "版本": face.version,
        "数据截止": face.cutoff,
        "页眉": face.header,
        "页脚": face.footer,
    }
