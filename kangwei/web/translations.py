"""The strings unfold would show in English, and our Chinese for them (界面译文).

Django ships its own Chinese; unfold ships none. `locale/zh_Hans/LC_MESSAGES/django.po` covers what
Django does not already translate, compiled with polib, so that no site needs gettext's tools.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polib
from django.utils.translation.template import templatize

FOLDER = Path(__file__).parent / "locale" / "zh_Hans" / "LC_MESSAGES"
CATALOGUE = FOLDER / "django.po"
COMPILED = FOLDER / "django.mo"

CALLS = {"_", "gettext", "gettext_lazy", "pgettext", "ngettext", "ngettext_lazy", "gettext_noop"}


@dataclass(frozen=True, order=True)
class Message:
    """One translatable string, with its plural where it has one."""

    text: str
    plural: str = ""


def unfold_messages() -> set[Message]:
    """Every string that unfold's code or templates hand to gettext."""
    import unfold

    root = Path(unfold.__file__).parent
    found: set[Message] = set()
    for path in sorted(root.rglob("*")):
        if path.suffix == ".py":
            found.update(_in_python(path.read_text(encoding="utf-8")))
        elif path.suffix == ".html":
            found.update(_in_template(path.read_text(encoding="utf-8")))
    return found


def _in_python(source: str) -> Iterator[Message]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CALLS and node.args:
            texts = [
                a.value
                for a in node.args
                if isinstance(a, ast.Constant) and isinstance(a.value, str)
            ]
            if texts:
                plural = (
                    texts[1]
                    if "ngettext" in getattr(node.func, "id", "") and len(texts) > 1
                    else ""
                )
                yield Message(texts[0], plural)


_CALL = re.compile(r"\b(n?p?gettext|_)\((.*?)\)(?=\s)", re.S)


def _in_template(source: str) -> Iterator[Message]:
    """Django rewrites a template into lines of gettext calls; those are read back here."""
    for match in _CALL.finditer(templatize(source) + "\n"):
        try:
            call = ast.parse(f"f({match.group(2)})", mode="eval").body
        except SyntaxError:
            continue
        assert isinstance(call, ast.Call)
        texts = [
            a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        if texts:
            plural = texts[1] if match.group(1).startswith("n") and len(texts) > 1 else ""
            yield Message(texts[0], plural)


def compile_catalogue() -> bytes:
    return bytes(polib.pofile(str(CATALOGUE)).to_binary())
