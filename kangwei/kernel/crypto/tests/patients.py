"""A model that exists in these tests only."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.db import models

from kangwei.kernel.crypto.fields import DigestField, EncryptedTextField


class Patient(models.Model):
    name = models.CharField(max_length=50)
    phone = EncryptedTextField("电话", blank=True, digest_column="phone_digest", purpose="phone")
    phone_digest = DigestField("phone")
    id_number = EncryptedTextField(  # type: ignore[misc]
        "身份证号", null=True, digest_column="id_number_digest"
    )
    id_number_digest = DigestField("id_number", unique=True)
    note = EncryptedTextField("备注", blank=True)

    class Meta:
        app_label = "crypto"
        # In a registry of its own: the product's models are counted and checked by other tests.
        apps = Apps()
        managed = False
        db_table = "crypto_test_patient"

    def __str__(self) -> str:
        return self.name


#: The table's rows, as any other model's `objects`.
patients: Any = Patient._default_manager
