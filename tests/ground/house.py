"""Kangwei as an operator starts it: real processes, a data directory and a port of their own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kangwei.supervisor.postgres import Cluster

ROOT = Path(__file__).resolve().parent.parent.parent
#: What the stage of the tests says, and an operator's terminal does not.
OF_THE_STAGE = ("DATABASE_URL", "KW_DATABASE_OWNER_URL", "KW_DEMO", "DJANGO_SETTINGS_MODULE")


class House:
    def __init__(self, data: Path, **wishes: str) -> None:
        self.data = data
        self.port = free_port()
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in OF_THE_STAGE and not name.startswith(("KW_", "PYTEST_"))
        }
        self.environment = {
            **kept,
            "KW_DATA": str(data),
            "KW_PORT": str(self.port),
            "DJANGO_ALLOW_ASYNC_UNSAFE": "",
            **wishes,
        }
        self.cluster = Cluster(data)
        self.output = data.with_suffix(".output")
        self.supervisor: subprocess.Popen[bytes] | None = None

    # -- as the operator -------------------------------------------------------------------

    def start(self, within: float = 90) -> float:
        """Start and wait for the line that says so; answers how long it took."""
        began = time.monotonic()
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("wb") as output:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "kangwei.supervisor"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

        def settled() -> bool:
            assert self.supervisor is not None
            return "康维已启动" in self.said or self.supervisor.poll() is not None

        until(settled, within, lambda: self.said)
        assert "康维已启动" in self.said, self.said
        return time.monotonic() - began

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def send(self, signal_number: signal.Signals) -> None:
        assert self.supervisor is not None
        self.supervisor.send_signal(signal_number)

    def wait(self, within: float) -> int:
        assert self.supervisor is not None
        return self.supervisor.wait(within)

    def stop_in_order(self) -> None:
        self.send(signal.SIGTERM)
        assert self.wait(25) == 0, self.said

    def refused_start(self, **wishes: str) -> str:
        """Start with these wishes, expecting a refusal; answers what was said."""
        done = subprocess.run(
            [sys.executable, "-m", "kangwei.supervisor"],
            cwd=ROOT,
            env={**self.environment, **wishes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr.strip()

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    # -- as an onlooker --------------------------------------------------------------------

    def get(self, path: str) -> int:
        """The status of a real request; 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def everyone(self) -> dict[int, str]:
        """Every living process of this house, by the data directory that it works for."""
        mark = f"KW_DATA={self.data}\0".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                # PostgreSQL writes its title over its environment; its place tells.
                ours = mark in (entry / "environ").read_bytes() or (
                    (entry / "cwd").readlink() == self.cluster.directory
                )
                if ours and command:
                    found[int(entry.name)] = command
        return found

    def pids(self, word: str) -> list[int]:
        return sorted(pid for pid, command in self.everyone().items() if word in command)

    def stop(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.send_signal(signal.SIGTERM)
            try:
                self.supervisor.wait(25)
            except subprocess.TimeoutExpired:
                self.supervisor.kill()
                self.supervisor.wait(10)
        for pid in self.everyone():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.cluster.destroy()


def until(
    holds: Callable[[], object], within: float, story: Callable[[], str] = lambda: ""
) -> None:
    """Wait for something to become true; a bounded, patient look."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within} s. {story()}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def house(data: Path, **wishes: str) -> Iterator[House]:
    kept = House(data, **wishes)
    try:
        yield kept
    finally:
        kept.stop()
