"""The description as a page: fields in Chinese words, nothing unescaped, every operation there."""

from __future__ import annotations

from typing import Any

import pytest

from kangwei.kernel.api import openapi, reference
from kangwei.kernel.api.tests import sample
from kangwei.kernel.organisations.tests import make


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "文本"),
        ({"type": "string", "format": "date"}, "日期"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "整数、空"),
        ({"type": "array", "items": {"type": "boolean"}}, "数组（是否）"),
        ({"enum": ["good", "slow"], "type": "string"}, "good 或 slow"),
        ({"$ref": "#/components/schemas/Clinic"}, "门诊"),
        ({"type": ["string", "null"]}, "文本、空"),
        ({}, "任意"),
    ],
)
def test_a_schema_is_said_in_a_few_words(schema: dict[str, Any], words: str) -> None:
    document = {"components": {"schemas": {"Clinic": {"title": "门诊", "type": "object"}}}}
    assert reference.kind(document, schema) == words


def test_an_operation_lists_its_parameters_content_and_answers() -> None:
    [tag] = reference.tags(openapi.describe(sample.api))
    press = next(one for one in tag.operations if one.key == "tests.press")
    assert (tag.name, press.method, press.path) == ("样例", "POST", "/api/v1/sample/press")
    assert [(one.name, one.required) for one in press.fields][:2] == [
        ("floor", True),
        ("mood", False),
    ]
    assert '"floor": 3' in press.example
    assert "409" in [one.status for one in press.responses]


def test_the_introduction_lets_no_markup_through() -> None:
    html = reference.introduction("**粗** `码` <script>x</script>\n\n第二段")
    assert html == (
        "<p><strong>粗</strong> <code>码</code> &lt;script&gt;x&lt;/script&gt;</p><p>第二段</p>"
    )


@pytest.mark.django_db
def test_the_page_shows_every_operation_and_every_code(settings: Any) -> None:
    settings.ROOT_URLCONF = "kangwei.web.urls"
    text = make.client(make.account()).get("/interfaces/").content.decode()
    for path in openapi.document()["paths"]:
        assert path in text
    assert "api.still_running" in text
