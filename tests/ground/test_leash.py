"""The kernel ends what a dead process started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ground.house import until

pytestmark = pytest.mark.process
HOLDER = """
import subprocess, sys
from kangwei.supervisor import leash
sleeper = subprocess.Popen(leash.command(["/bin/sleep", "60"], signal_number=9))
print(sleeper.pid, flush=True)
sleeper.wait()
"""


def test_a_program_on_the_leash_dies_with_its_holder() -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    sleeper = int(holder.stdout.readline())
    until(lambda: b"sleep" in Path(f"/proc/{sleeper}/cmdline").read_bytes().split(b"\0")[0], 5)
    holder.kill()
    holder.wait(5)
    holder.stdout.close()
    until(lambda: not alive(sleeper), 5)


def test_a_holder_that_died_first_is_noticed() -> None:
    leash = Path(__file__).resolve().parents[2] / "kangwei" / "supervisor" / "leash.py"
    nobody = str(os.getpid() + 100_000)  # not our parent, whoever it is
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(leash), nobody, "9", "-", "/bin/true"], check=False
    )
    assert done.returncode == -signal.SIGKILL


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
