"""The site that the benches measure: an institution, an account that may do everything, staff."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from kangwei.kernel.organisations.models import Account, Institution

STAFF = 3000


@dataclass(frozen=True)
class Site:
    account: Account
    institution: Institution
    key: str


def open_site() -> Site:
    """Set the site up in the database of this run; the second bench finds the first one's."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kangwei.web.settings")
    django.setup()
    from kangwei.kernel.api import services as api
    from kangwei.kernel.organisations import services
    from kangwei.kernel.organisations.builtin import all_rights
    from kangwei.kernel.organisations.models import Account, Institution, Role, Staff

    at = datetime.now(UTC)
    if not Account.objects.exists():
        services.set_up(
            username="bench",
            password="Ganlu#7731-Shuang",
            institution_name="试验省卫生健康委员会",
            region=("61", "陕西省"),
            at=at,
        )
        root = Institution.objects.get()
        everything = Role.objects.create(
            code="bench_everything",
            name="试验",
            rights=sorted(all_rights()),
            scope_kind="everything",
            masking_level=1,
            order=99,
        )
        opened = services.create_account(
            username="caller",
            name="林晓",
            institution=root,
            by=None,
            at=at,
            password="Qinghe#8842-Shan",
            must_change_password=False,
        )
        services.grant_role(account=opened.account, role=everything, by=None, at=at, reason="试验")
        Staff.objects.bulk_create(
            Staff(institution=root, name=f"林晓{number}", pinyin="lx", position="护士")
            for number in range(STAFF)
        )
    account = Account.objects.get(username="caller")
    key = api.create_key(
        account=account,
        name="试验",
        scopes=[right for right in all_rights() if account.has_perm(right)],
        expires_at=at + timedelta(days=1),
        by=account,
        at=at,
        calls_per_minute=60_000,
    )
    return Site(account, Institution.objects.order_by("pk")[0], key.text)
