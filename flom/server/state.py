"""
What daemons remember beyond their end, in files of a directory that all daemons of a user share
(docs/reference/daemon.md, "The state directory").

A file is replaced as a whole: after a crash it is either the old one or the new one. What none of us can have written
is never guessed at, and never replaced.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import Final

from twisted.logger import Logger

from flom.core.tokens import MAX_EPOCH, begin_epoch, epoch_of
from flom.errors import FlomError
from flom.text import reason

LOCK_TIMEOUT: Final = 2.0
"""Seconds to wait for another daemon that is changing the directory, which takes milliseconds."""

MAX_SIZE: Final = 2**26
"""Bytes of the longest file that is read."""

_EPOCH: Final = "epoch"
_KEY: Final = "key"
_KEY_SIZE: Final = 32
"""Bytes of the key, which the file has as a line of hexadecimal digits."""


class StateError(FlomError):
    """The state directory cannot be used, or has a file that is not what a daemon of this user leaves there."""


class StateDirectory:
    """
    Files in one directory; each has a name and bytes.

    @ivar path: of the directory, absolute.
    """

    def __init__(self, path: str) -> None:
        """
        Make the directory if there is none, and check what is there.

        @raise StateError: it cannot be made or read, it is another user's, others may write to it, or see
            L{read_epoch}.
        """
        self.path = path
        with _explained(path):
            os.makedirs(path, 0o700, exist_ok=True)
            found = os.stat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise StateError(f"{path}: it is no directory")
        _check_owner(path, found)
        if found.st_mode & 0o022:
            raise StateError(f"{path}: others may write to it (mode {stat.S_IMODE(found.st_mode):03o})")
        self.read_epoch()

    def read(self, name: str, *, is_secret: bool = False) -> bytes | None:
        """
        Return what is in a file; C{None} if there is none.

        @param is_secret: whether other users must not be able to read it.
        @raise StateError: it cannot be read, is another user's, too long, or no file at all; or others can read it.
        """
        path = os.path.join(self.path, name)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with _explained(path):
            try:
                descriptor = os.open(path, flags)
            except FileNotFoundError:
                return None
            with open(descriptor, "rb") as file:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise StateError(f"{path}: it is no file")
                _check_owner(path, found)
                if is_secret and found.st_mode & 0o077:
                    raise StateError(f"{path}: others may read it (mode {stat.S_IMODE(found.st_mode):03o})")
                if found.st_size > MAX_SIZE:
                    raise StateError(f"{path}: its {found.st_size} bytes are more than {MAX_SIZE}")
                return file.read()

    def replace(self, name: str, data: bytes) -> None:
        """
        Make C{data} what is in a file, whatever happens to the machine from now on.

        Call it while the directory is L{locked}, if the file is not of one daemon alone.

        @raise StateError: it cannot be written.
        """
        path = os.path.join(self.path, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with _explained(path), self._opened() as directory:
            with open(os.open(f"{path}.new", flags, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.rename(f"{path}.new", path)
            os.fsync(directory)

    def remove(self, name: str) -> None:
        """Remove a file, if there is one; L{StateError} if that is not possible."""
        path = os.path.join(self.path, name)
        with _explained(path), self._opened() as directory, suppress(FileNotFoundError):
            os.unlink(path)
            os.fsync(directory)

    def names(self) -> list[str]:
        """Return the names of all files; L{StateError} if they cannot be read."""
        with _explained(self.path):
            return os.listdir(self.path)

    def check_room(self) -> None:
        """Raise L{StateError} if nothing can be written, as far as that shows before it is forced to the disk."""
        path = os.path.join(self.path, f"room-{os.getpid()}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with _explained(self.path):
            try:
                with open(os.open(path, flags, 0o600), "wb") as file:
                    file.write(bytes(4096))
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other daemons from changing the directory; L{StateError} if one is at it for L{LOCK_TIMEOUT}."""
        deadline = monotonic() + LOCK_TIMEOUT
        with self._opened() as directory:
            while True:
                try:
                    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as e:
                    if not isinstance(e, BlockingIOError) or monotonic() > deadline:
                        raise StateError(f"{self.path}: it cannot be locked: {reason(e)}") from e
                    sleep(0.005)
            yield

    def read_epoch(self) -> int:
        """Return the highest epoch of any daemon, -1 if there was none; L{StateError} if it cannot be read."""
        data = self.read(_EPOCH)
        if data is None:
            return -1
        digits = data.removesuffix(b"\n")
        if not (digits.isdigit() and len(digits) <= 10 and int(digits) <= MAX_EPOCH):
            raise StateError(f"{os.path.join(self.path, _EPOCH)}: it is no number from 0 to {MAX_EPOCH}")
        return int(digits)

    def begin_epoch(self, seen: int, wall: float) -> int:
        """
        Begin an epoch that is higher than those of all daemons here too; see L{flom.core.tokens.begin_epoch}.

        @raise StateError: it cannot be read or written.
        """
        with self.locked():
            token = begin_epoch(max(seen, self.read_epoch()), wall)
            self.replace(_EPOCH, b"%d\n" % epoch_of(token))
        return token

    def note_epoch(self, epoch: int) -> None:
        """Remember C{epoch}, which this daemon has not chosen; L{StateError} if it cannot be read or written."""
        with self.locked():
            if self.read_epoch() < epoch:
                self.replace(_EPOCH, b"%d\n" % epoch)

    def read_key(self) -> bytes | None:
        """Return the key of all daemons here; C{None} if there is none yet; L{StateError} if it cannot be read."""
        data = self.read(_KEY, is_secret=True)
        if data is None:
            return None
        digits = data.removesuffix(b"\n")
        if len(digits) != 2 * _KEY_SIZE or digits.strip(b"0123456789abcdef"):
            raise StateError(f"{os.path.join(self.path, _KEY)}: it is no key")
        return bytes.fromhex(digits.decode())

    def make_key(self) -> bytes:
        """
        Make the key of all daemons here, unless one of them has just done so; return it.

        @raise StateError: it cannot be read or written.
        """
        with self.locked():
            key = self.read_key()
            if key is None:
                key = os.urandom(_KEY_SIZE)
                self.replace(_KEY, b"%b\n" % key.hex().encode())
        return key

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with _explained(self.path):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


class Epochs:
    """
    The epochs of one daemon.

    @ivar state: where they are remembered; C{None} for nowhere.
    @ivar heard: the highest one that another daemon has announced; 0 if none has.
    @ivar problem: why they are not remembered; the empty string if they are, or are not meant to be.
    """

    _log = Logger()

    def __init__(self, state: StateDirectory | None = None, problem: str = "") -> None:
        self.state = state
        self.heard = 0
        self.problem = problem
        self._last = -1

    def begin(self, seen: int, wall: float) -> int:
        """
        Return the first token of an epoch that is higher than C{seen} and all that are known.

        If the state directory cannot be used any more, one line of the log says so, and the clock has to do.
        """
        seen = max(seen, self.heard, self._last)
        token = 0
        if self.state is not None:
            try:
                token = self.state.begin_epoch(seen, wall)
                self.problem = ""
            except StateError as e:
                if str(e) != self.problem:
                    self.problem = str(e)
                    self._log.warn("{problem}: nothing is remembered there; locks are granted", problem=self.problem)
        token = token or begin_epoch(seen, wall)
        self._last = epoch_of(token)
        return token


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise StateError(f"{path}: it belongs to uid {found.st_uid}")


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Raise L{StateError} about C{path} instead of C{OSError}."""
    try:
        yield
    except OSError as e:
        raise StateError(f"{path}: {reason(e)}") from e
