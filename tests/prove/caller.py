"""Sets up an empty site and gives a program a key; run in the house's own environment.

python -m tests.prove.caller   →   {"key": "kw_…", "institution": 1}
"""

from __future__ import annotations

import json
import os
from datetime import timedelta

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kangwei.web.settings")
    django.setup()
    from kangwei.kernel import clock
    from kangwei.kernel.api import services as api
    from kangwei.kernel.organisations import services
    from kangwei.kernel.organisations.models import Account, Institution, Role

    at = clock.now()
    services.set_up(
        username="prove",
        password="Ganlu#7731-Shuang",
        institution_name="试验省卫生健康委员会",
        region=("61", "陕西省"),
        at=at,
    )
    root = Institution.objects.get()
    caller = services.create_account(
        username="caller", name="接口调用方", institution=root, by=None, at=at
    ).account
    services.grant_role(
        account=caller, role=Role.objects.get(code="county_admin"), by=None, at=at, reason="试验"
    )
    caller = Account.objects.get(pk=caller.pk)
    scopes = sorted(Role.objects.get(code="county_admin").rights)
    key = api.create_key(
        account=caller,
        name="试验",
        scopes=[scope for scope in scopes if caller.has_perm(scope)],
        expires_at=at + timedelta(days=7),
        by=caller,
        at=at,
        calls_per_minute=60_000,
    )
    print(json.dumps({"key": key.text, "institution": root.pk}))


if __name__ == "__main__":
    main()
