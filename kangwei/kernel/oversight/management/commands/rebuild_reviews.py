"""`manage.py rebuild_reviews`: compute the review items anew from their ledger of events."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.oversight import services


class Command(BaseCommand):
    help = "按年审记录重算年审账号的状态，并报告有多少不一致"

    @transaction.atomic
    def handle(self, **options: Any) -> None:
        with audit.origin(channel="command"):
            differing = services.rebuild()
        self.stdout.write(
            f"已按年审记录修正 {differing} 个年审账号。"
            if differing
            else "年审账号与年审记录一致。"
        )
