"""`manage.py audit …`: check the journal, seal a month, put a sealed month away."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kangwei.kernel import clock
from kangwei.kernel.audit import queries, sealing, services
from kangwei.kernel.refusals import Refusal

#: Exit codes: sound; something is wrong with the journal. Errors of the command itself give 2.
SOUND, FAULTY, FAILED = 0, 1, 2
ROLE_CAN_ALTER = (
    "数据库未强制只追加：应用所用的数据库角色能够修改审计表。请设置 KW_DATABASE_OWNER_URL，"
    "让表归另一角色所有，然后重新执行 migrate。"
)


class Command(BaseCommand):
    help = "审计日志：校验、查看状态、封存月份、清理已封存的月份。"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        works = parser.add_subparsers(dest="work", required=True)
        verify = works.add_parser("verify", help="校验链、锚点、锚点文件与分段摘要")
        verify.add_argument("--from", dest="first", type=int, help="起始链序号")
        verify.add_argument("--to", dest="last", type=int, help="截止链序号")
        works.add_parser("status", help="链的长度、未入链条数、最近的锚点与校验")
        seal = works.add_parser("seal-month", help="封存一个已结束的月份")
        seal.add_argument("month", type=_month, help="月份，如 2026-03")
        purge = works.add_parser("purge-month", help="清理超过留存期的已封存月份")
        purge.add_argument("month", type=_month, help="月份，如 2021-03")
        purge.add_argument("--archive", type=Path, help="先导出到此文件（gzip）")
        restart = works.add_parser("restart-anchor-file", help="锚点文件遗失后重新开始")
        restart.add_argument("--reason", required=True, help="原因，记入审计日志")

    def handle(self, *args: Any, **options: Any) -> None:
        work = {
            "verify": self._verify,
            "status": self._status,
            "seal-month": self._seal,
            "purge-month": self._purge,
            "restart-anchor-file": self._restart,
        }[options["work"]]
        try:
            work(options)
        except Refusal as refusal:
            raise CommandError(refusal.message, returncode=FAILED) from None

    def _verify(self, options: dict[str, Any]) -> None:
        result = services.verify_journal(
            at=clock.now(), first=options["first"], last=options["last"]
        )
        for finding in result.findings:
            self.stdout.write(f"[{finding['title']}] {finding['message']}")
        for remark in result.remarks:
            self.stdout.write(f"提示：{remark}")
        if not queries.append_only_enforced():
            self.stdout.write(f"提示：{ROLE_CAN_ALTER}")
        took = (result.finished_at - result.started_at).total_seconds()
        verdict = "审计日志完好" if result.sound else f"发现 {len(result.findings)} 处异常"
        self.stdout.write(
            f"{verdict}：核对第 {result.first_seq} 至 {result.last_seq} 号，共 {result.links} 条，"
            f"未入链 {result.unchained} 条，用时 {took:.1f} 秒。"
        )
        if not result.sound:
            sys.exit(FAULTY)

    def _status(self, options: dict[str, Any]) -> None:
        state = queries.chain_state()
        self.stdout.write(f"链长 {state.seq}，最近入链 {state.chained_at or '无'}。")
        self.stdout.write(
            f"未入链 {state.unchained} 条，最早 {state.oldest_unchained_at or '无'}。"
        )
        self.stdout.write(
            f"最近锚点 {state.anchor or '无'}；最近校验 {state.verification or '无'}。"
        )
        enforced = "数据库已强制只追加。" if state.append_only else ROLE_CAN_ALTER
        self.stdout.write(enforced)

    def _seal(self, options: dict[str, Any]) -> None:
        seal = services.seal_month(month=options["month"], at=clock.now())
        self.stdout.write(
            f"{seal} 已封存：{seal.entries} 条，链序号 {seal.first_seq} 至 {seal.last_seq}。"
        )

    def _purge(self, options: dict[str, Any]) -> None:
        month = sealing.Month.read(options["month"])
        seal = services.purge_month(month=month, at=clock.now(), archive=options["archive"])
        self.stdout.write(f"{seal} 的 {seal.entries} 条日志已清理，封存锚点保留。")

    def _restart(self, options: dict[str, Any]) -> None:
        number = services.restart_anchor_file(at=clock.now(), reason=options["reason"])
        self.stdout.write(f"锚点文件自第 {number} 号锚点起重新开始，已记入审计日志。")


def _month(text: str) -> str:
    try:
        sealing.Month.read(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"“{text}”不是月份，应形如 2026-03") from None
    return text
