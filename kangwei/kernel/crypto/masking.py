"""The masking rules, under the name other apps import them by."""

from kangwei.kernel.crypto.rules.masking import (
    FULL,
    HIDDEN,
    PARTLY,
    mask,
    mask_address,
    mask_bank,
    mask_email,
    mask_id_number,
    mask_name,
    mask_phone,
)

__all__ = [
    "FULL",
    "HIDDEN",
    "PARTLY",
    "mask",
    "mask_address",
    "mask_bank",
    "mask_email",
    "mask_id_number",
    "mask_name",
    "mask_phone",
]
