"""What the model says must hold, said as a refusal: the constraint speaks Chinese already."""

from __future__ import annotations

from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db import models

from kangwei.kernel.refusals import Invalid


def checked(row: models.Model, refusal: type[Invalid], *, exclude: Collection[str] = ()) -> None:
    """Check a row with its constraints before it is written; the first complaint is the refusal."""
    try:
        row.full_clean(exclude=exclude)
    except ValidationError as error:
        name, texts = next(iter(error.message_dict.items()))
        field = None if name == "__all__" else name
        title = row._meta.get_field(name).verbose_name if field else ""  # type: ignore[union-attr]
        raise refusal(f"{title}：{texts[0]}" if title else texts[0], field=field) from None
