"""The form of the trial page."""

from __future__ import annotations

from typing import Any

from django import forms

from .registry import engines
from .services import MOST_BYTES


class TrialForm(forms.Form):
    """An engine, and cases as a file or as text."""

    engine = forms.ChoiceField(label="引擎", widget=forms.HiddenInput)
    file = forms.FileField(
        label="案例文件",
        required=False,
        help_text="每行一个案例（JSON Lines）或一个 JSON 数组，UTF-8，不超过 5 MB；可拖到这里。",
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.json,.txt,.ndjson"}),
    )
    text = forms.CharField(
        label="或直接填写案例",
        required=False,
        max_length=MOST_BYTES,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["engine"].choices = [  # type: ignore[attr-defined]
            (engine.name, f"{engine.title}（{engine.name}）") for engine in engines()
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("file") and not (cleaned.get("text") or "").strip():
            self.add_error("file", "请选择案例文件，或在下方填写案例。")
        return cleaned

    def content(self) -> bytes:
        """The cases as given; the file wins over the text."""
        file = self.cleaned_data.get("file")
        if file is not None:
            return bytes(file.read(MOST_BYTES + 1))
        return str(self.cleaned_data["text"]).encode()
