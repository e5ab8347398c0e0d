"""`manage.py demo_accounts`: make the accounts of the demonstration and print them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.refusals import Refusal
from kangwei.web.world import accounts
from kangwei.web.world.telling import require_demonstration


class Command(BaseCommand):
    help = "创建并列出演示账号（每个内置角色一个），仅演示模式可用"

    def handle(self, **options: Any) -> None:
        try:
            require_demonstration()
            with audit.origin(channel="command"):
                accounts.make(clock.now())
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        shown = accounts.shown()
        self.stdout.write(f"演示账号（密码均为 {accounts.PASSWORD}）：")
        for account in shown:
            hint = f"（{account.hint}）" if account.hint else ""
            where = f"{account.institution}{hint}"
            self.stdout.write(f"  {account.username:<10} {account.role}　{account.name}　{where}")
        self.stdout.write(
            "newcomer 演示首次登录：用上述密码登录后先设置新密码，"
            "再用手机身份验证器扫码绑定动态口令。"
        )
