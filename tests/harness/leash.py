"""Runs a command that ends when the process that started it ends, even by SIGKILL.

Usage: python leash.py PARENT_PID COMMAND ARGUMENT...

The kernel's parent-death signal survives exec but is cleared by fork, so the started command has to be the
program itself and not a shell around it. On systems without that signal (macOS) the command does not end by itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# linux/prctl.h
PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have ended before the signal was requested.
        if os.getppid() != parent:
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - running what it is given is its whole purpose


main()
