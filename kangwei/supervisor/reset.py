"""Forgets the demonstration data, so that the next start tells the world anew (make demo-reset).

Only data that a start in demonstration mode created, and only while nothing uses it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from kangwei.supervisor.lock import only_one
from kangwei.supervisor.postgres import Cluster
from kangwei.supervisor.wishes import CannotStart, Wishes, read

ROOT = Path(__file__).resolve().parent.parent.parent
#: Written by the first start when it is one in demonstration mode.
DEMONSTRATION = "demonstration"


def forget(wishes: Wishes) -> None:
    cluster = Cluster(wishes.data, programs=wishes.programs)
    cluster.destroy()
    for path in wishes.data.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "supervisor.lock":
            path.unlink()


def check(wishes: Wishes) -> None:
    if wishes.database_url:
        raise CannotStart("设置了 DATABASE_URL：外部数据库中的数据请由数据库管理员清除。")
    if not wishes.data.is_dir():
        raise CannotStart(f"KW_DATA 指向的 {wishes.data} 中没有数据，无需清除。")
    if not (wishes.data / DEMONSTRATION).exists():
        raise CannotStart(f"KW_DATA 指向的 {wishes.data} 不是演示数据，不予清除。")


def main(arguments: list[str]) -> int:
    try:
        wishes = read(os.environ, ROOT)
        check(wishes)
        with only_one(wishes.data):
            if "--yes" not in arguments:
                answer = input(f"将删除 {wishes.data} 中的全部演示数据，确定请输入 yes：")
                if answer.strip().lower() != "yes":
                    print("没有删除任何数据。")
                    return 1
            forget(wishes)
    except CannotStart as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except EOFError:
        print("没有得到确认，没有删除任何数据；无人值守时请加 --yes。", file=sys.stderr)
        return 1
    print("演示数据已删除；下次启动将重新生成。")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
