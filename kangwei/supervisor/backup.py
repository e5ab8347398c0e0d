"""The whole of one installation in a directory, taken while it runs, and put back elsewhere.

    python -m kangwei.supervisor.backup save DIRECTORY       (run.py backup DIRECTORY)
    python -m kangwei.supervisor.backup restore DIRECTORY    (run.py restore DIRECTORY)

The keys belong to it: without them the encrypted columns stay unreadable for ever. Therefore a
backup is as secret as the installation, and lies in a directory that only we can enter.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from kangwei.supervisor.lock import only_one
from kangwei.supervisor.postgres import SUPERUSER, Cluster
from kangwei.supervisor.wishes import CannotStart, Wishes, read

ROOT = Path(__file__).resolve().parent.parent.parent
#: Made anew by the next start, or true of this machine only.
NOT_KEPT = shutil.ignore_patterns(
    "logs", "static", "postgresql*", "supervisor.lock", "database-url", "database-owner-url"
)


def save(wishes: Wishes, directory: Path) -> None:
    """Copy a running installation, and check the copy of its database."""
    cluster = _own(wishes)
    if not cluster.answers():
        raise CannotStart("内置数据库没有运行；请先启动康维，备份在运行中进行。")
    _make_empty(directory)
    copy = directory / "cluster"
    cluster.run_here(
        "pg_basebackup",
        f"--dbname={cluster.url(SUPERUSER, 'postgres')}",
        f"--pgdata={copy}",
        "--checkpoint=fast",
        "--wal-method=stream",
        "--manifest-checksums=SHA256",
    )
    cluster.run_here("pg_verifybackup", "--quiet", str(copy))
    shutil.copytree(wishes.data, directory / "data", ignore=NOT_KEPT)


def restore(wishes: Wishes, directory: Path) -> None:
    """Lay out a backup where nothing is yet; the next start goes on from it."""
    cluster = _own(wishes)
    if not (directory / "cluster" / "PG_VERSION").exists() or not (directory / "data").is_dir():
        raise CannotStart(f"{directory} 不是一份完整的备份（缺少 cluster 或 data 目录）。")
    if cluster.directory.exists() or (wishes.data / "secrets.json").exists():
        raise CannotStart(
            f"KW_DATA 指向的 {wishes.data} 中已有数据，不予覆盖；请为 KW_DATA 另选一个空目录。"
        )
    cluster.run_here("pg_verifybackup", "--quiet", str(directory / "cluster"))
    cluster.lay_out_from(directory / "cluster")
    shutil.copytree(directory / "data", wishes.data, dirs_exist_ok=True)


def _own(wishes: Wishes) -> Cluster:
    if wishes.database_url:
        raise CannotStart("设置了 DATABASE_URL：外部数据库由数据库管理员备份，见《安装部署》。")
    return Cluster(wishes.data, programs=wishes.programs)


def _make_empty(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        raise CannotStart(f"{directory} 已存在；每份备份请用一个新目录。") from None
    except FileNotFoundError:
        raise CannotStart(f"{directory.parent} 不存在，请先建立。") from None


def main(arguments: list[str]) -> int:
    try:
        wishes = read(os.environ, ROOT)
        match arguments:
            case ["save", where]:
                save(wishes, Path(where).resolve())
                print(f"备份已完成并通过校验：{Path(where).resolve()}")
            case ["restore", where]:
                with only_one(wishes.data):
                    restore(wishes, Path(where).resolve())
                print(f"已恢复到 {wishes.data}，现在可以启动。")
            case _:
                print("用法：run.py backup 目录 或 run.py restore 目录", file=sys.stderr)
                return 2
    except CannotStart as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
