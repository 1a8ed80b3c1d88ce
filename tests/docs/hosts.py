"""The hosts of a page: each with a network, processes and system directories of its own, and a shell that stays."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.docs.blocks import Shown
from tests.fakes.daemon import BIN
from tests.fakes.exclusion import Marks
from tests.fakes.netns import Host
from tests.fakes.programs import Programs, eventually
from tests.scenarios.lan.network import Lan

ROOT: Final = Path(__file__).parents[2]
HOME: Final = "/home/user"
RUNTIME: Final = "/run/user/0"
SIZE: Final = (40, 80)  # lines and columns of the terminal
WRONG: Final = 1.0  # seconds in which more may come after something that the page does not say

PRIVATE: Final = ("/tmp", "/run", "/home", "/var/lib", "/dev/shm")
"""Directories that are empty on each host."""

KEPT: Final = sorted({str(ROOT), sys.prefix, sys.base_prefix})
"""What is on each host all the same, because commands are run from there."""

SET_UP: Final = f"""
root=$1 name=$2 hosts=$3
shift 3
hostname "$name"
mount -t tmpfs -o mode=755 tmpfs "$root"
for place in {" ".join(PRIVATE)}; do mkdir -p "$root$place"; done
chmod 1777 "$root/tmp" "$root/dev/shm"
cp -a /etc "$root/etc"
tr -d - < /proc/sys/kernel/random/uuid > "$root/etc/machine-id"
echo "$name" > "$root/etc/hostname"
echo "$hosts" > "$root/etc/hosts"
for kept in {" ".join(KEPT)}; do
    for place in {" ".join(PRIVATE)}; do
        case "$kept" in "$place"/*) mkdir -p "$root$kept"; mount --bind "$kept" "$root$kept" ;; esac
    done
done
cd "$root"  # which may be hidden by what is mounted next
for place in {" ".join(PRIVATE)} /etc; do mount --rbind ".$place" "$place"; done
mount --bind ../mnt /mnt
mkdir -p {HOME}
mkdir -p -m 700 {RUNTIME}
cd {HOME}
exec "$@"
"""
"""Makes the directories of a host, of which it has C{/mnt} in common with the others, and runs a program there."""

SHELL: Final = r"""
_return() { return "$1"; }
while IFS= read -r -d "" -u 8 _command; do
    eval "_return ${_status:-0}
$_command" 8<&- 9>&-
    _status=$?
    printf "\035" >&9
done
"""
"""Runs commands, each of which ends with a zero byte, in one bash; writes 1D hex after each."""

_number: Final = count(1)
_DONE: Final = "\x1d"
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Shell:
    """
    A shell on a terminal of its own, on a host of a page.

    Its background jobs go on while others of its commands run, and what they print comes with these.
    """

    def __init__(self, words: list[str]) -> None:
        """
        @param words: what bash is started by.
        """
        terminal, end = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        modes = termios.tcgetattr(end)
        modes[1] &= ~termios.OPOST  # line feeds stay what they are
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(end, termios.TCSANOW, modes)
        commands, self._commands = os.pipe()
        self._process = subprocess.Popen(
            [
                "setsid",
                "--ctty",
                *words,
                "bash",
                "--noprofile",
                "--norc",
                "-c",
                f"exec 8<&{commands} {commands}<&- 9>&1\n{SHELL}",
            ],
            stdin=end,
            stdout=end,
            stderr=end,
            pass_fds=[commands],
        )
        self._terminal = terminal
        os.close(commands)
        os.close(end)
        self._unread = ""

    def run(self, shown: Shown, limit: float) -> list[str]:
        """
        Run a command, and return the lines that came on the terminal.

        Background jobs may print some of them after the command has ended, so what the page says is waited for.

        @param limit: seconds; after them, what has come up to then is returned.
        """
        os.write(self._commands, shown.command.encode() + b"\0")
        give_up = time.monotonic() + limit
        is_done = is_hopeless = False
        while True:
            if not is_done and _DONE in self._unread:
                is_done = True
                self._unread = self._unread.replace(_DONE, "")
            lines = [line.rstrip() for line in _ESCAPES.sub("", self._unread).splitlines()]
            if is_done and shown.matches(lines):
                self._unread = ""
                return lines
            if is_done and not is_hopeless and not shown.is_begun_by(lines):
                is_hopeless = True
                give_up = min(give_up, time.monotonic() + WRONG)
            readable, _, _ = select.select([self._terminal], [], [], max(0, give_up - time.monotonic()))
            if not readable:
                return lines if is_done else [*lines, f"(no end after {limit:g} s)"]
            try:
                self._unread += os.read(self._terminal, 65536).decode(errors="replace")
            except OSError:  # the shell has ended
                return [*lines, "(the shell has ended)"]

    def end(self) -> None:
        """Kill the shell, and with it all processes of its host."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._terminal)
        os.close(self._commands)


def _await_end(host: Host) -> None:
    eventually(lambda: not host.pids(), f"the end of all processes on {host.name}")


class Hosts:
    """The hosts of a page on one network; as a context manager, they are gone outside, and all that runs there."""

    def __init__(self, names: list[str], folder: Path) -> None:
        """
        @param names: of the hosts, from which one sees another; an empty one means C{here}.
        @param folder: an empty one.
        """
        self._names = names
        self._unique = f"flomdocs{next(_number)}"
        self._folder = folder
        (folder / "mnt").mkdir()
        self._stack = ExitStack()
        self.shells: dict[str, Shell] = {}

    def __enter__(self) -> Hosts:
        try:
            lan = self._stack.enter_context(
                Lan(self._unique, "192.0.2", Programs(), self._folder, Marks(self._folder / "marks"))
            )
            for number, name in enumerate(self._names, 1):
                host = self._stack.enter_context(Host(f"{self._unique}-{name}-"))
                lan.plug(host, "eth0")
                host.ip("addr", "add", f"2001:db8::{number}/64", "dev", "eth0", "nodad")
                self.shells[name] = shell = Shell(self._words(host, name or "here"))
                self._stack.callback(_await_end, host)
                self._stack.callback(shell.end)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def _words(self, host: Host, name: str) -> list[str]:
        """Return the words that run a program as on a host of its own."""
        root = self._folder / name
        root.mkdir()
        known = [f"192.0.2.{number} {name or 'here'}" for number, name in enumerate(self._names, 1)]
        environment = {
            "HOME": HOME,
            "LANG": "C.UTF-8",
            "LOGNAME": "root",
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "SHELL": "/bin/bash",
            "TERM": "dumb",  # no colours, and no lines that vanish
            "TZ": "UTC",
            "USER": "root",
            "XDG_RUNTIME_DIR": RUNTIME,
        }
        unshare = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        set_up = ["sh", "-ec", SET_UP, "sh", str(root), name, "\n".join(["127.0.0.1 localhost", *known])]
        return host.words("env", "-i", *(f"{key}={value}" for key, value in environment.items()), *unshare, *set_up)
