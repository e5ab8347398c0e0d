"""Who may use a data directory: one supervisor at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from kangwei.supervisor.wishes import CannotStart


@contextlib.contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold KW_DATA: two supervisors over one database would each end the other's server."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data / "supervisor.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "未知"
            raise CannotStart(
                f"KW_DATA 指向的 {data} 正由另一个康维使用（进程 {holder}），"
                "请先停止它，或为 KW_DATA 另选目录。"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
