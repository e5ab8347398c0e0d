"""Templates (通知模板) that apps register at start-up: what can be told, with which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kangwei.kernel.crypto import masking
from kangwei.kernel.notices.rules.texts import fill, placeholders


@dataclass(frozen=True)
class Variable:
    """A word that a template may use. `personal` names a kind of personal data (name, phone,
    id_number, address, email): it is masked in every message and hidden in SMS and calls."""

    name: str
    title: str
    sample: str = ""
    personal: str = ""


#: Words that every template may use.
COMMON = (
    Variable("about", "对象", "工单 20261120-0001"),
    Variable("time", "通知时间", "2026-11-20 18:50"),
    Variable("priority", "级别", "重要"),
    Variable("link", "链接", "/desk/tickets/1/"),
)


@dataclass(frozen=True)
class Words:
    """The three texts of a template or of a notice."""

    title: str
    body: str
    short: str


@dataclass(frozen=True)
class Template:
    """Something that can be told. `body` is Markdown; `short` is for SMS and calls."""

    code: str
    name: str
    title: str
    body: str
    short: str
    variables: tuple[Variable, ...] = ()

    @property
    def words(self) -> Words:
        return Words(self.title, self.body, self.short)

    @property
    def all_variables(self) -> tuple[Variable, ...]:
        return (*self.variables, *COMMON)

    def unknown(self, words: Words) -> list[str]:
        """Placeholders that nobody will fill."""
        known = {variable.name for variable in self.all_variables}
        return sorted(placeholders(words.title + words.body + words.short) - known)

    def sample(self) -> dict[str, str]:
        return {variable.name: variable.sample for variable in self.all_variables}

    def masked(self, context: Mapping[str, Any], level: int) -> dict[str, Any]:
        kinds = {v.name: v.personal for v in self.variables if v.personal}
        return {
            name: masking.mask(kinds[name], str(value), level) if name in kinds else value
            for name, value in context.items()
        }

    def render(self, words: Words, context: Mapping[str, Any]) -> Words:
        """Fill the texts; personal data partly masked, in the short text hidden."""
        partly = self.masked(context, masking.PARTLY)
        hidden = self.masked(context, masking.HIDDEN)
        title = " ".join(fill(words.title, partly).split())
        return Words(title[:300], fill(words.body, partly), fill(words.short, hidden)[:1000])


_templates: dict[str, Template] = {}


def register_template(template: Template) -> None:
    """Declare a template; its placeholders must be its variables."""
    if unknown := template.unknown(template.words):
        raise ValueError(f"template {template.code} uses undeclared words: {', '.join(unknown)}")
    if template.code in _templates and _templates[template.code] != template:
        raise ValueError(f"template {template.code} is registered twice")
    _templates[template.code] = template


def templates() -> dict[str, Template]:
    return dict(sorted(_templates.items()))
