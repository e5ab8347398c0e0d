"""Starts Kangwei and keeps it running: `python -m kangwei.supervisor`.

PostgreSQL, then migrations, then web and worker, then a real request; afterwards it only watches.
It knows no business and imports no Django: whatever needs either is a command it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from kangwei.supervisor import database, leash
from kangwei.supervisor.children import Child
from kangwei.supervisor.lock import only_one
from kangwei.supervisor.postgres import APPLICATION, OWNER, Cluster
from kangwei.supervisor.reset import DEMONSTRATION
from kangwei.supervisor.wishes import CannotStart, Wishes, read

ROOT = Path(__file__).resolve().parent.parent.parent
#: What manage.py answers when a setting is wrong (EX_CONFIG); its last line is the sentence.
WRONG_SETTING = 78
READY_WITHIN = 120.0
#: A server that was killed under load replays its log first; that may take minutes.
RECOVERY_WITHIN = 900.0


def say(text: str) -> None:
    print(text, flush=True)


class Supervisor:
    def __init__(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.logs = wishes.data / "logs"
        self.children: list[Child] = []
        self.environment = {**os.environ, "KW_DATA": str(wishes.data), "PYTHONUNBUFFERED": "1"}
        # Each site has its own stand-ins, beside its own port.
        self.environment.setdefault("KW_STANDINS_PORT", str(min(wishes.port + 10, 65534)))
        # Only migrations may change tables; web and worker are not even told how.
        self.environment.pop("KW_DATABASE_OWNER_URL", None)
        self.owner_url = wishes.owner_url

    # -- the start, step by step -----------------------------------------------------------

    async def start(self) -> None:
        if self.wishes.demo and not (self.wishes.data / "secrets.json").exists():
            (self.wishes.data / DEMONSTRATION).touch()  # nothing but demonstration data here
        if self.wishes.database_url:
            await self._check_external_database()
        else:
            await self._start_own_database()
        await asyncio.gather(
            self._manage("升级数据表", "migrate", "--noinput", owner=True),
            self._collect_static(),
        )
        web = self._child("web", "网页服务", ["-m", "kangwei.web.serve"])
        worker = self._child("worker", "后台任务", ["manage.py", "run_worker"], stop_within=6.0)
        await web.start()
        await worker.start()
        await self._until_answered(web)
        say(f"康维已启动：{self.wishes.address}    按 Ctrl-C 停止")
        if self.wishes.demo:
            # They play the outside world; nothing of ours waits for them.
            await self._child("standins", "替身服务", ["-m", "kangwei.standins"]).start()
            await self._demonstrate()

    async def _check_external_database(self) -> None:
        for name in ("database-url", "database-owner-url"):
            (self.wishes.data / name).unlink(missing_ok=True)
        for warning in await asyncio.to_thread(
            database.prepare_external, self.wishes.database_url, self.wishes.owner_url
        ):
            say(f"注意：{warning}")

    async def _start_own_database(self) -> None:
        cluster = Cluster(self.wishes.data, programs=self.wishes.programs)
        cluster.prepare()

        def command() -> list[str]:
            cluster.take_over()
            return cluster.command()

        server = Child(
            "postgresql",
            "数据库",
            command=command,
            environment=self.environment,
            directory=Path("/"),
            logs=self.logs,
            say=say,
            stop_signal=signal.SIGINT,
            insist_signal=signal.SIGQUIT,
            stop_within=6.0,
        )
        self.children.append(server)
        await server.start()
        started = time.monotonic()
        while not await asyncio.to_thread(cluster.answers):
            await asyncio.sleep(0.05)
            waited = time.monotonic() - started
            if (server.falls >= 3 and waited > 5) or waited > RECOVERY_WITHIN:
                raise CannotStart(f"数据库没有启动，原因见 {cluster.directory / 'log'}。")
        await asyncio.to_thread(database.prepare_own, cluster)
        self.owner_url = cluster.url(OWNER)
        self.environment["DATABASE_URL"] = cluster.url(APPLICATION)
        # So that manage.py started by hand finds the same database.
        _keep_private(self.wishes.data / "database-url", cluster.url(APPLICATION))
        _keep_private(self.wishes.data / "database-owner-url", self.owner_url)

    def _child(
        self, name: str, title: str, arguments: list[str], *, stop_within: float = 5.0
    ) -> Child:
        child = Child(
            name,
            title,
            command=lambda: self._python(*arguments),
            environment=self.environment,
            directory=self.wishes.root,
            logs=self.logs,
            say=say,
            stop_within=stop_within,
        )
        self.children.append(child)
        return child

    @staticmethod
    def _python(*arguments: str) -> list[str]:
        # SIGKILL: when we are killed nobody is left to wait for an orderly stop, and every act
        # is one transaction.
        return leash.command([sys.executable, *arguments], signal_number=signal.SIGKILL)

    async def _manage(self, title: str, *arguments: str, owner: bool = False) -> None:
        """One command of manage.py that must succeed."""
        environment = self.environment
        if owner and self.owner_url:
            environment = {**environment, "KW_DATABASE_OWNER_URL": self.owner_url}
        last_words: deque[str] = deque(maxlen=20)
        async with self._command(*arguments, environment=environment) as process:
            assert process.stdout is not None
            async for raw in process.stdout:
                last_words.append(raw.decode("utf-8", "replace").rstrip())
            code = await process.wait()
        if code == WRONG_SETTING:
            raise CannotStart(last_words[-1])
        if code != 0:
            raise CannotStart("\n".join([*last_words, f"{title}没有成功，原因见上。"]))

    async def _collect_static(self) -> None:
        """Hash and compress what browsers load; nine seconds of work, so only when it changed."""
        note = self.wishes.data / "static-collected-from"
        current = static_fingerprint(self.wishes.root)
        kept = note.exists() and (self.wishes.data / "static").is_dir()
        if kept and note.read_text(encoding="ascii") == current:
            return
        await self._manage("准备页面文件", "collectstatic", "--noinput", "--clear")
        note.write_text(current, encoding="ascii")

    @contextlib.asynccontextmanager
    async def _command(
        self, *arguments: str, environment: dict[str, str]
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *self._python("manage.py", *arguments),
            process_group=0,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            cwd=self.wishes.root,
            limit=1 << 20,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _until_answered(self, web: Child) -> None:
        """The start counts once a real request was answered: all is ready behind it."""
        started = time.monotonic()
        status = 0
        told = False
        while time.monotonic() - started < READY_WITHIN:
            if not told and time.monotonic() - started > 20:
                say("网页服务还没有就绪，继续等待……")
                told = True
            status = await self._ask("/readyz")
            if status == 200:
                return
            if web.falls >= 5:
                break
            await asyncio.sleep(0.1)
        answer = f"状态码 {status}" if status else "没有应答"
        raise CannotStart(f"网页服务没有就绪（{answer}），原因见 {self.logs / 'web.log'}。")

    async def _ask(self, path: str) -> int:
        """The status that our own web server answers; 0 when nobody does."""
        here = self.wishes.address.removeprefix("http://").rsplit(":", 1)[0].strip("[]")
        request = f"GET {path} HTTP/1.1\r\nHost: {self.wishes.host}\r\nConnection: close\r\n\r\n"
        try:
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(here, self.wishes.port)
                try:
                    writer.write(request.encode())
                    answer = await reader.readline()
                finally:
                    writer.close()
            return int(answer.split()[1])
        except (OSError, TimeoutError, IndexError, ValueError):
            return 0

    async def _demonstrate(self) -> None:
        """Name the accounts one can sign in with, and tell how the world fills."""
        await self._relay("demo_accounts")
        await self._relay("fill_world", "--enqueue")
        await self._relay("fill_world", "--watch")

    async def _relay(self, *arguments: str) -> None:
        """Run a command of manage.py for what it tells the operator."""
        async with self._command(*arguments, environment=self.environment) as process:
            assert process.stdout is not None
            async for raw in process.stdout:
                say(raw.decode("utf-8", "replace").rstrip())
            if await process.wait():
                say(f"注意：manage.py {' '.join(arguments)} 没有成功，演示数据可能不完整。")

    # -- the stop --------------------------------------------------------------------------

    async def stop(self) -> None:
        """Web, worker, PostgreSQL: whoever asks ends before whoever answers."""
        order = {"web": 0, "worker": 1, "standins": 2, "postgresql": 3}
        for child in sorted(self.children, key=lambda child: order[child.name]):
            await child.stop()
            say(f"{child.title}已停止。")


def check_port(bind: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotStart(f"端口 {port} 已被占用，请用 KW_PORT 另选一个端口。") from None
            if error.errno == errno.EACCES:
                raise CannotStart(
                    f"没有权限使用端口 {port}，请用 KW_PORT 另选一个 1024 以上的端口。"
                ) from None
            raise CannotStart(f"KW_BIND 指定的地址 {bind} 不在本机上。") from None


def static_fingerprint(root: Path) -> str:
    """Changes whenever a file for the browser may have: our own, or a package's."""
    total = hashlib.sha256((root / "requirements.txt").read_bytes())
    for path in sorted((root / "kangwei").glob("**/static/**/*")):
        state = path.stat()
        total.update(f"{path.relative_to(root)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return total.hexdigest()


def _keep_private(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    fresh.rename(path)


async def supervise(wishes: Wishes) -> None:
    asked_to_stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signal_number, asked_to_stop.set)
    supervisor = Supervisor(wishes)
    start = asyncio.create_task(supervisor.start())
    stop = asyncio.create_task(asked_to_stop.wait())
    try:
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            await stop
        say("正在停止……")
    finally:
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await start
        await supervisor.stop()
    say("康维已停止。")


def main() -> int:
    try:
        wishes = read(os.environ, ROOT)
        with only_one(wishes.data):
            check_port(wishes.bind, wishes.port)
            asyncio.run(supervise(wishes))
    except CannotStart as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except PermissionError as refusal:
        print(
            f"没有权限使用 {refusal.filename}；请检查 KW_DATA 指向的目录属于谁。", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
