"""Runs one program on a leash: when the process that started it dies, so does the program.

    python -I -S leash.py PARENT SIGNAL USER PROGRAM [ARGUMENT …]

A supervisor that is killed cannot clean up, so the kernel must do it (prctl PR_SET_PDEATHSIG).
The kernel forgets the wish whenever the user changes; therefore this small program changes the
user first, makes the wish, checks that the parent did not die in between, and becomes the
program. USER is "-" (stay who you are) or "uid:gid". Used as a file of its own, so that starting
it costs a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1


def hold(parent: int, signal_number: int) -> None:
    """Ask the kernel to send this process a signal when its parent ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the wish was made
        os.kill(os.getpid(), signal_number)


def command(
    program: list[str], *, signal_number: int, user: tuple[int, int] | None = None
) -> list[str]:
    """The same program as a command line that keeps it on this process's leash."""
    who = "-" if user is None else f"{user[0]}:{user[1]}"
    here = str(Path(__file__).resolve())
    return [
        sys.executable,
        "-I",
        "-S",
        here,
        str(os.getpid()),
        str(int(signal_number)),
        who,
        *program,
    ]


def main(arguments: list[str]) -> None:
    parent, signal_number, who, *program = arguments
    if who != "-":
        uid, gid = (int(part) for part in who.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        os.umask(0o077)
    hold(int(parent), int(signal_number))
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
