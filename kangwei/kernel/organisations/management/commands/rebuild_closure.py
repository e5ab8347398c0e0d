"""`manage.py rebuild_closure`: bring the kept institution tree in line with the dated parents."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations import services


class Command(BaseCommand):
    help = "按隶属关系重建机构上下级表；没有差异时输出 0。"

    def handle(self, *args: Any, **options: Any) -> None:
        with audit.origin(channel="command"):
            differences = services.rebuild_closure(at=clock.now())
        self.stdout.write(f"机构上下级表已核对，修正 {differences} 行。")
