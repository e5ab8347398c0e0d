"""Every pair of text and ground reaches the contrast of WCAG 2.2 AA, in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parent.parent / "static" / "kw" / "kw.css").read_text(encoding="utf-8")

#: (text, ground): every pair that kw.css puts together.
TEXT_PAIRS = [
    ("--kw-text", "--kw-bg"), ("--kw-text", "--kw-surface"), ("--kw-text", "--kw-raised"),
    ("--kw-text", "--kw-hover"), ("--kw-text", "--kw-head"), ("--kw-text", "--kw-accent-soft"),
    ("--kw-strong", "--kw-bg"), ("--kw-strong", "--kw-surface"), ("--kw-strong", "--kw-head"),
    ("--kw-strong", "--kw-accent-soft"), ("--kw-strong", "--kw-info-soft"),
    ("--kw-strong", "--kw-good-soft"), ("--kw-strong", "--kw-warn-soft"),
    ("--kw-strong", "--kw-bad-soft"),
    ("--kw-subtle", "--kw-bg"), ("--kw-subtle", "--kw-surface"), ("--kw-subtle", "--kw-raised"),
    ("--kw-subtle", "--kw-head"), ("--kw-subtle", "--kw-hover"),
    ("--kw-accent", "--kw-bg"), ("--kw-accent", "--kw-surface"), ("--kw-accent", "--kw-hover"),
    ("--kw-accent-strong", "--kw-accent-soft"), ("--kw-accent-strong", "--kw-surface"),
    ("--kw-on-accent", "--kw-accent"), ("--kw-on-accent", "--kw-accent-strong"),
    ("--kw-good", "--kw-good-soft"), ("--kw-warn", "--kw-warn-soft"),
    ("--kw-bad", "--kw-bad-soft"), ("--kw-info", "--kw-info-soft"),
    ("--kw-neutral", "--kw-neutral-soft"), ("--kw-surface", "--kw-bad"),
    ("--kw-good", "--kw-surface"), ("--kw-warn", "--kw-surface"), ("--kw-bad", "--kw-surface"),
    ("--kw-bad", "--kw-head"), ("--kw-good", "--kw-head"), ("--kw-warn", "--kw-head"),
]  # fmt: skip
#: Shapes and the ring of focus need 3:1 only.
SHAPE_PAIRS = [("--kw-focus", "--kw-bg"), ("--kw-focus", "--kw-surface")]


def variables(selector: str) -> dict[str, str]:
    block = CSS[CSS.index(selector + " {") :]
    block = block[: block.index("}")]
    return dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-fA-F]{6})", block))


LIGHT = variables(":root")
THEMES = {"light": LIGHT, "dark": LIGHT | variables(":root.dark")}


def luminance(colour: str) -> float:
    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    red, green, blue = (linear(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_agrees_with_the_known_ends() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_can_be_read(theme: str, text: str, ground: str) -> None:
    colours = THEMES[theme]
    assert contrast(colours[text], colours[ground]) >= 4.5, (theme, text, ground)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("shape", "ground"), SHAPE_PAIRS)
def test_shapes_can_be_seen(theme: str, shape: str, ground: str) -> None:
    assert contrast(THEMES[theme][shape], THEMES[theme][ground]) >= 3


def test_unfolds_own_text_colours_can_be_read_on_ours() -> None:
    for kind in ("subtle", "default", "important"):
        for theme, grounds in (
            ("light", ("--kw-bg", "--kw-surface")),
            ("dark", ("--kw-bg", "--kw-surface")),
        ):
            colours = THEMES[theme]
            text = colours[f"--color-font-{kind}-{theme}"]
            for ground in grounds:
                assert contrast(text, colours[ground]) >= 4.5, (kind, theme, ground)


def test_no_colour_is_written_outside_the_two_palettes() -> None:
    """A colour named twice is a theme that breaks; white paper of print.css is another file."""
    rest = CSS[CSS.index("[x-cloak]") : CSS.index("@media print")]
    assert (
        re.findall(r"#[0-9a-fA-F]{3,8}\b", re.sub(r"#[\w-]+\s*[,.{:>]|#[a-z][\w-]*\s", "", rest))
        == []
    )
