"""Shells on a terminal, whose completion is asked by the tabulator key."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final

import pyte

from tests.fakes.daemon import BIN
from tests.tools.manual.completion import SHARE

PATIENCE: Final = 20.0  # seconds
_PROMPT: Final = "ready>"

_BASH: Final = f"""
PS1='{_PROMPT} '; HISTFILE=
bind 'set show-all-if-ambiguous on'; bind 'set bell-style none'; bind 'set page-completions off'
bind 'set completion-query-items 0'; bind 'set enable-bracketed-paste off'
for file in {SHARE}/bash/*; do . "$file"; done
"""
_ZSH: Final = f"""
PS1='{_PROMPT} '; fpath=({SHARE}/zsh $fpath); autoload -U compinit; compinit -u -D
setopt no_beep auto_list no_list_ambiguous; zstyle ':completion:*' list-prompt ''; LISTMAX=10000
unset zle_bracketed_paste
"""

_START: Final = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], _BASH),
    "zsh": (["zsh", "-f", "-i"], _ZSH),
}


class Shell:
    """A shell on a terminal of 200 columns."""

    def __init__(self, name: str, home: str) -> None:
        self.name = name
        words, setup = _START[name]
        ours, theirs = pty.openpty()
        self._terminal = ours
        environment = {"HOME": home, "PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "vt100", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=home, start_new_session=True
        )
        os.close(theirs)
        self._screen = pyte.Screen(200, 100)
        self._stream = pyte.ByteStream(self._screen)
        script = os.path.join(home, "setup")
        with open(script, "w") as file:
            file.write(f"stty cols 200 rows 100\n{setup}")
        self._type(f". {script}\n")
        self._wait_for([_PROMPT])

    def complete(self, line: str, expected: Iterable[str], then: str = "") -> str:
        """
        Type C{line} and the tabulator; return what is on the screen when all that is C{expected} is there.

        @param then: what to type after that.
        """
        self._type("\x15\x0c")  # an empty line, an empty screen
        self._wait_until(lambda text: text.strip() == _PROMPT, "an empty line")
        self._type(f"{line}\t" + ("\t" if self.name == "bash" else "") + then)
        return self._wait_for(expected)

    def _type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _wait_for(self, expected: Iterable[str]) -> str:
        return self._wait_until(lambda text: all(word in text.split() for word in expected), str(expected))

    def _wait_until(self, is_there: Callable[[str], bool], what: str) -> str:
        end = time.monotonic() + PATIENCE
        while True:
            text = "\n".join(self._screen.display)
            if is_there(text):
                return text
            assert time.monotonic() < end, f"{self.name} does not show {what}:\n{text.strip()}"
            if select.select([self._terminal], [], [], 0.2)[0]:
                self._stream.feed(os.read(self._terminal, 65536))

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._terminal)


class Fish:
    """fish, which prints what the key would offer."""

    def __init__(self, name: str, home: str) -> None:
        self._environment = os.environ | {"HOME": home, "PATH": f"{BIN}:{os.environ['PATH']}"}

    def complete(self, line: str, expected: Iterable[str], then: str = "") -> str:
        """Return what is offered after C{line}, and C{then}, which has all that is C{expected}."""
        scripts = SHARE / "fish"
        quoted = line.replace("\\", "\\\\").replace("'", "\\'")
        command = f"for file in {scripts}/*; source $file; end; complete -C '{quoted}'"
        done = subprocess.run(
            ["fish", "-N", "-c", command], env=self._environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.stderr == ""
        offered = [offer.partition("\t")[0] for offer in done.stdout.splitlines()] + [then]
        missing = [word for word in expected if word not in offered]
        assert not missing, done.stdout
        return "\n".join(offered)

    def __enter__(self) -> Fish:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        pass


def start(name: str, home: str) -> Shell | Fish:
    """Start bash, zsh or fish, with the completion of this project."""
    return Fish(name, home) if name == "fish" else Shell(name, home)
