"""unfold speaks Chinese completely, and the compiled catalogue is the written one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polib
import unfold
from django.utils import translation

from kangwei.web import translations
from kangwei.web.parts import FRONT_END
from kangwei.web.views import locked_names, packages

#: A pattern of two placeholders reads the same in every language.
SAME_IN_CHINESE = {"%(class_name)s %(instance)s"}


def test_the_reader_of_strings_finds_what_unfold_is_known_to_have() -> None:
    texts = {message.text for message in translations.unfold_messages()}
    assert {"Select action", "No results found", "Apply Filters", "Type to search"} <= texts
    assert len(texts) > 150


def test_every_string_of_unfold_is_translated() -> None:
    with translation.override("zh-hans"):
        missing = sorted(
            message.text
            for message in translations.unfold_messages()
            if translation.gettext(message.text) == message.text
            and message.text not in SAME_IN_CHINESE
        )
    assert missing == []


def test_plurals_are_translated() -> None:
    with translation.override("zh-hans"):
        for message in translations.unfold_messages():
            if message.plural:
                assert translation.ngettext(message.text, message.plural, 2) != message.plural


def test_the_compiled_catalogue_is_the_written_one() -> None:
    assert translations.COMPILED.read_bytes() == translations.compile_catalogue(), (
        "run manage.py compile_translations"
    )


def test_every_translation_keeps_its_placeholders() -> None:
    for entry in polib.pofile(str(translations.CATALOGUE)):
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert sorted(re.findall(r"%\(\w+\)[sdr]|\{\}", text)) == sorted(
                re.findall(r"%\(\w+\)[sdr]|\{\}", entry.msgid)
            ), entry.msgid


def test_the_about_page_names_the_front_end_versions_that_are_shipped() -> None:
    shipped = Path(unfold.__file__).parent / "static" / "unfold" / "js"
    named = {part.name: part.version for part in FRONT_END}
    assert f'version:"{named["htmx"]}"' in (shipped / "htmx/htmx.js").read_text(encoding="utf-8")
    assert f'version:"{named["Alpine.js"]}"' in (shipped / "alpine/alpine.js").read_text(
        encoding="utf-8"
    )
    assert f"v{named['SimpleBar']}" in (shipped / "simplebar/simplebar.js").read_text(
        encoding="utf-8"
    )
    root = Path(__file__).parents[3]
    wanted = json.loads((root / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert named["Apache ECharts"] == wanted["echarts"]


def test_every_locked_package_shows_a_version_and_a_licence() -> None:
    assert len(locked_names()) > 40
    assert len(packages()) > 40
    for part in packages():
        assert part.version, part
        assert part.licence, part
