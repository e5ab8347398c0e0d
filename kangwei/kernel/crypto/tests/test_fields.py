"""Encrypted columns: plain in Python, sealed in the table, found by digest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Q

from kangwei.kernel.crypto import rotation
from kangwei.kernel.crypto.fields import DigestField, EncryptedTextField
from kangwei.kernel.crypto.keys import make_key, ring
from kangwei.kernel.crypto.tests.patients import Patient, patients

pytestmark = pytest.mark.usefixtures("patients")
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def patient(phone: str = "13812345678", **more: Any) -> Patient:
    made: Patient = patients.create(name="王小明", phone=phone, **more)
    return made


def stored(column: str = "phone") -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM crypto_test_patient ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def test_python_sees_plain_text_and_the_table_holds_none() -> None:
    row = patient(note="对青霉素过敏")
    assert patients.get().phone == "13812345678"
    assert patients.values_list("note", flat=True).get() == "对青霉素过敏"
    assert stored()[0].startswith("kw1:sm4:")
    assert "13812345678" not in str(stored())
    assert "过敏" not in str(stored("note"))
    assert "138" not in repr(row)


def test_equality_is_asked_of_the_digest() -> None:
    row = patient()
    patient("13900001111")
    assert patients.get(phone="13812345678") == row
    assert patients.filter(phone="１３８１２３４５６７８ ").count() == 1  # full-width, blank
    assert patients.filter(phone__in=["13812345678", "13900001111", "1"]).count() == 2
    assert patients.filter(~Q(phone="13812345678")).count() == 1
    assert not patients.filter(phone="1381234567").exists()
    assert patients.filter(id_number__isnull=True).count() == 2


def test_every_other_question_is_refused() -> None:
    for lookup in ("contains", "startswith", "gt", "icontains", "regex"):
        with pytest.raises(FieldError, match="only equality"):
            patients.filter(**{f"phone__{lookup}": "138"}).exists()
    with pytest.raises(FieldError, match="no digest"):
        patients.filter(note="x").exists()


def test_no_way_of_writing_leaves_an_old_digest() -> None:
    row = patient()
    patients.update(phone="13900001111")
    assert patients.filter(phone="13900001111").exists()
    row.refresh_from_db()
    row.phone = "13700002222"
    row.save(update_fields=["phone"])
    assert patients.filter(phone="13700002222").exists()
    row.phone = "13600003333"
    patients.bulk_update([row], ["phone"])
    assert patients.filter(phone="13600003333").exists()
    patients.bulk_create([Patient(name="李四", phone="13500004444")])
    assert patients.filter(phone="13500004444").exists()


def test_rows_may_come_by_copy() -> None:
    field: Any = Patient._meta.get_field("phone")
    sealed = field.stored_form("13812345678")
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY crypto_test_patient (name, phone, note) FROM STDIN") as copy,
    ):
        copy.write_row(("赵六", sealed, ""))
        with pytest.raises(RuntimeError, match="before the COPY"):
            field.stored_form("13900001111")
    assert patients.get(phone="13812345678").name == "赵六"


def test_empty_and_missing_values_stay_what_they_are() -> None:
    patient("", id_number=None)
    row = patients.get()
    assert [row.phone, row.id_number, row.note] == ["", None, ""]
    assert stored("phone_digest") == [""]
    assert patients.filter(phone="").count() == 1


def test_a_unique_digest_holds_uniqueness() -> None:
    patient(id_number="61011319900307888x")
    with pytest.raises(IntegrityError), transaction.atomic():
        patient(id_number="61011319900307888X")
    patient(id_number=None)
    patient(id_number=None)


def test_fields_of_one_purpose_compare_and_others_do_not() -> None:
    phone: Any = Patient._meta.get_field("phone")
    id_number: Any = Patient._meta.get_field("id_number")
    assert phone.digest_of("1") != id_number.digest_of("1")


def test_a_wrong_declaration_is_named_at_start() -> None:
    class Wrong(models.Model):
        phone = EncryptedTextField(digest_column="phone_digest", unique=True)
        phone_digest = models.CharField(max_length=64)

        class Meta:
            app_label = "crypto"
            managed = False

        def __str__(self) -> str:
            return "wrong"

    try:
        found = {message.id for message in Wrong._meta.get_field("phone").check()}
        assert {"crypto.E001", "crypto.E002"} <= found
    finally:
        from django.apps import apps

        del apps.all_models["crypto"]["wrong"]
        apps.clear_cache()


def test_declarations_survive_a_migration_file() -> None:
    for name in ("phone", "phone_digest", "id_number_digest"):
        field = Patient._meta.get_field(name)
        _, path, args, kwargs = field.deconstruct()  # type: ignore[union-attr]
        assert path.startswith("kangwei.kernel.crypto.fields.")
        module, _, kind = path.rpartition(".")
        again = {"EncryptedTextField": EncryptedTextField, "DigestField": DigestField}[kind](
            *args, **kwargs
        )
        assert again.deconstruct()[1:] == (path, args, kwargs)
        assert module


# Rotation -----------------------------------------------------------------------------------


def test_rotation_brings_every_value_under_the_new_key_and_may_be_interrupted() -> None:
    for number in range(5):
        patient(f"1380000000{number}")
    field: Any = Patient._meta.get_field("phone")
    new = make_key("field", NOON)
    assert rotation.reencrypt_batch(field, limit=3) == 3
    ring.forget()  # as another process that takes over
    assert rotation.reencrypt_batch(field, limit=3) == 2
    assert rotation.reencrypt_batch(field, limit=3) == 0
    assert {text.split(":")[2] for text in stored()} == {new.kid}
    assert sorted(patients.values_list("phone", flat=True))[0] == "13800000000"
    assert patients.filter(phone="13800000003").exists()


def test_values_are_counted_by_key() -> None:
    patient(id_number="610113199003078888", note="甲")
    old = ring.active("field").kid
    make_key("field", NOON)
    patient("13900001111")
    counted = rotation.values_by_key()
    assert counted[old] == 3
    assert counted[ring.active("field").kid] == 1
    uses = {use.key.kid: use for use in rotation.key_uses()}
    assert uses[old].values == 3
    assert not uses[old].is_due


def test_a_ledger_that_refuses_rewriting_is_told_apart() -> None:
    patient()
    field: Any = Patient._meta.get_field("phone")
    assert rotation.may_rewrite(field)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON crypto_test_patient"
            " FOR EACH ROW EXECUTE FUNCTION audit_refuse()"
        )
    assert not rotation.may_rewrite(field)
