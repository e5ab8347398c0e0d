"""One program of ours, kept running.

A child has its own process group, so that a Ctrl-C in the terminal reaches only the supervisor,
which stops everything in order. A child that ends is started again, at first after half a second,
then twice as long, up to half a minute; one that stayed up for ten seconds starts afresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SHORTEST_WAIT, LONGEST_WAIT = 0.5, 30.0
STEADY_AFTER = 10.0


def next_wait(last: float, stayed_up: float) -> float:
    """How long to wait before the next start; `last` is 0 before the first fall."""
    if not last or stayed_up >= STEADY_AFTER:
        return SHORTEST_WAIT
    return min(last * 2, LONGEST_WAIT)


class Child:
    def __init__(
        self,
        name: str,
        title: str,
        *,
        command: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        directory: Path,
        logs: Path,
        say: Callable[[str], None],
        stop_signal: signal.Signals = signal.SIGTERM,
        insist_signal: signal.Signals = signal.SIGKILL,
        stop_within: float = 5.0,
    ) -> None:
        self.name, self.title = name, title
        self._command = command
        self._environment = dict(environment)
        self._directory = directory
        self._say = say
        self._stop_signal, self._insist_signal = stop_signal, insist_signal
        self._stop_within = stop_within
        self._log = _log_file(logs / f"{name}.log")
        self._last_words: deque[str] = deque(maxlen=5)
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        #: How often it ended without being asked to.
        self.falls = 0

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process and process.returncode is None else None

    async def start(self) -> None:
        await self._launch()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _launch(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            process_group=0,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            cwd=self._directory,
        )

    async def _keep(self) -> None:
        wait = 0.0
        while True:
            started = time.monotonic()
            process = self._process
            assert process is not None
            reader = asyncio.create_task(self._read(process))
            code = await process.wait()
            # What it left behind in its group: a killed web server's own workers.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(reader, 2)
            self.falls += 1
            wait = next_wait(wait, time.monotonic() - started)
            self._say(f"{self.title}意外结束（{_manner(code)}），{wait:g} 秒后重新启动。")
            for line in self._last_words:
                self._say(f"    {line}")
            await asyncio.sleep(wait)
            await self._launch()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._last_words.clear()
        while chunk := await _line(process.stdout):
            line = chunk.decode("utf-8", "replace").rstrip()
            self._last_words.append(line)
            self._log.info(line)

    async def stop(self) -> None:
        """Ask, wait, insist. Answers when nothing of it runs any more."""
        if self._keeper:  # before the look at the process: it may be about to start another
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self._stop_signal)
            try:
                await asyncio.wait_for(process.wait(), self._stop_within)
            except TimeoutError:
                self._say(f"{self.title}没有按时停止，强制结束。")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, self._insist_signal)
                await process.wait()
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; an overlong one in pieces, so that no output can stop the reading."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as overrun:
        return await stream.read(overrun.consumed)


def _manner(code: int) -> str:
    if code >= 0:
        return f"退出码 {code}"
    with contextlib.suppress(ValueError):
        return f"收到信号 {signal.Signals(-code).name}"
    return f"收到信号 {-code}"


def _log_file(path: Path) -> logging.Logger:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = logging.Logger(path.stem, logging.INFO)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=10_000_000, backupCount=5, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    return log
