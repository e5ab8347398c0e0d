"""`manage.py setup`: the first administrators of a site without demonstration data (初始化)."""

from __future__ import annotations

import getpass
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations import services
from kangwei.kernel.refusals import Refusal


class Command(BaseCommand):
    help = (
        "建立根机构和三员账号。环境变量 KW_ADMIN_USERNAME、KW_ADMIN_PASSWORD、"
        "KW_ADMIN_INSTITUTION、KW_ADMIN_REGION（代码）与 KW_ADMIN_REGION_NAME 可代替问答。"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--noinput", action="store_true", help="不提问，只用环境变量。")

    def handle(self, *args: Any, **options: Any) -> None:
        self.ask_allowed = not options["noinput"] and self.stdin_is_terminal()
        username = self.answer("KW_ADMIN_USERNAME", "系统管理员用户名", "admin")
        password = self.secret()
        name = self.answer("KW_ADMIN_INSTITUTION", "根机构名称", "")
        code = self.answer("KW_ADMIN_REGION", "根机构所在省级区划代码", "610000")
        region = self.answer("KW_ADMIN_REGION_NAME", "该区划名称", "陕西省")
        try:
            with audit.origin(channel="command"):
                made = services.set_up(
                    username=username,
                    password=password,
                    institution_name=name,
                    region=(code, region),
                    at=clock.now(),
                )
        except Refusal as refusal:
            raise CommandError(refusal.message) from None
        self.stdout.write(f"初始化完成，根机构“{name}”。")
        for account in made:
            shown = f"一次性密码 {account.password}" if account.password else "使用刚才设置的密码"
            self.stdout.write(f"  {account.role}：{account.username}，{shown}，首次登录须修改密码")
        self.stdout.write("三个账号请交给三个人保管；一次性密码只显示这一次。")

    @staticmethod
    def stdin_is_terminal() -> bool:
        return os.isatty(0)

    def answer(self, variable: str, question: str, default: str) -> str:
        given = os.environ.get(variable, "").strip()
        if given:
            return given
        if self.ask_allowed:
            hint = f"（{default}）" if default else ""
            given = input(f"{question}{hint}：").strip()
        given = given or default
        if not given:
            raise CommandError(f"请用环境变量 {variable} 给出{question}，或在终端中运行本命令。")
        return given

    def secret(self) -> str:
        given = os.environ.get("KW_ADMIN_PASSWORD", "")
        if given:
            return given
        if not self.ask_allowed:
            raise CommandError("请用环境变量 KW_ADMIN_PASSWORD 给出密码，或在终端中运行本命令。")
        first, again = getpass.getpass("密码："), getpass.getpass("再次输入密码：")
        if first != again:
            raise CommandError("两次输入的密码不一致，请重新运行。")
        return first
