"""Model columns that are encrypted at rest (加密字段), and their search digests.

    phone = EncryptedTextField("电话", digest_column="phone_digest", purpose="phone")
    phone_digest = DigestField("phone")

Python sees plain text, the table holds ciphertext. The digest travels inside the stored text and
PostgreSQL itself takes it out into the digest column (a generated column), so no way of writing,
be it save, update or COPY, can leave an old digest beside a new value. Equality works as usual,
`filter(phone="13800001111")` compares digests; every other comparison is refused.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.core.exceptions import FieldError
from django.db import models
from django.db.models import F, Func, Value
from django.db.models.lookups import Exact, In, IsNull, Lookup

from kangwei.kernel.crypto import services

if TYPE_CHECKING:
    Text = models.TextField[str, str]
else:
    Text = models.TextField


def normalised(text: str) -> str:
    """What counts as equal: full-width forms, blanks around and letter case make no difference."""
    return unicodedata.normalize("NFKC", text).strip().upper()


class EncryptedTextField(Text):
    """A text that only the product can read; `digest_column` names the field for equality search.

    Fields of the same `purpose` have comparable digests (a staff member's and a guardian's phone);
    by default each column keeps to itself.
    """

    def __init__(
        self, *args: Any, digest_column: str = "", purpose: str = "", **kwargs: Any
    ) -> None:
        self.digest_column = digest_column
        self.purpose = purpose
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        if self.digest_column:
            kwargs["digest_column"] = self.digest_column
        if self.purpose:
            kwargs["purpose"] = self.purpose
        return name, path, args, kwargs

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        found = super().check(**kwargs)
        if self.digest_column:
            names = {field.name: field for field in self.model._meta.get_fields()}
            if not isinstance(names.get(self.digest_column), DigestField):
                found.append(
                    checks.Error(
                        f"{self.digest_column} must be a DigestField({self.name!r}).",
                        obj=self,
                        id="crypto.E001",
                    )
                )
        if self.unique or getattr(self, "db_index", False):
            found.append(
                checks.Error(
                    "A ciphertext cannot be indexed; index its digest.", obj=self, id="crypto.E002"
                )
            )
        return found

    def digest_of(self, text: str) -> str:
        table = self.model._meta.db_table
        return services.digest(normalised(text), purpose=self.purpose or f"{table}.{self.column}")

    def stored_form(self, text: str) -> str:
        """What stands in the table, digest included; for COPY and other ways around the ORM.

        Make these before the COPY begins: counting the key's uses asks the database.
        """
        if not text:
            return text
        sealed = services.encrypt(text, table=self.model._meta.db_table, column=str(self.column))
        return f"{sealed}:{self.digest_of(text)}" if self.digest_column else sealed

    def open_stored(self, stored: str | None) -> str | None:
        if not stored:
            return stored
        return services.decrypt(stored, table=self.model._meta.db_table, column=str(self.column))

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if value is None or hasattr(value, "as_sql"):
            return super().get_db_prep_save(value, connection)
        return self.stored_form(str(value))

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return self.open_stored(value)

    def get_lookup(self, lookup_name: str) -> type[Lookup[Any]] | None:
        if lookup_name not in {"exact", "in", "isnull"}:
            raise FieldError(
                f"{self.model._meta.label}.{self.name} is encrypted: only equality can be asked."
            )
        return {"exact": EqualByDigest, "in": InByDigest, "isnull": IsNull}[lookup_name]

    def get_transform(self, lookup_name: str) -> None:
        return None


def _digest_side(lookup: Any) -> Any:
    field = lookup.lhs.target
    if not field.digest_column:
        raise FieldError(f"{field.model._meta.label}.{field.name} has no digest to search by.")
    target = field.model._meta.get_field(field.digest_column)
    return target.get_col(lookup.lhs.alias)


class EqualByDigest(Exact):
    """`phone = …` asked of the digest column."""

    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, params = compiler.compile(_digest_side(self))
        field: Any = self.lhs.target
        return f"{left} = %s", [*params, field.digest_of(str(self.rhs)) if self.rhs else ""]


class InByDigest(In):
    """`phone IN (…)` asked of the digest column."""

    prepare_rhs = False

    def get_prep_lookup(self) -> Any:
        return list(self.rhs)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        left, params = compiler.compile(_digest_side(self))
        field: Any = self.lhs.target
        wanted = [field.digest_of(str(text)) if text else "" for text in self.rhs]
        return f"{left} = ANY(%s)", [*params, wanted]


class DigestField(models.GeneratedField):
    """The keyed digest beside an encrypted field, kept by PostgreSQL from the stored text."""

    def __init__(self, source: str = "", *, unique: bool = False, **kwargs: Any) -> None:
        self.source = source
        kwargs.setdefault("expression", Func(F(source), Value(":"), 5, function="split_part"))
        kwargs.setdefault("output_field", models.CharField(max_length=64))
        kwargs.setdefault("db_persist", True)
        kwargs.setdefault("db_index", not unique)
        super().__init__(unique=unique, **kwargs)

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        for given in ("expression", "output_field", "db_persist"):
            kwargs.pop(given, None)
        kwargs["source"] = self.source
        kwargs["unique"] = self.unique
        kwargs["db_index"] = getattr(self, "db_index")  # noqa: B009 - set by Field.__init__
        return name, "kangwei.kernel.crypto.fields.DigestField", args, kwargs
