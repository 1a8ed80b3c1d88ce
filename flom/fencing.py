"""
A fence: what refuses a holder that has lost its lock without knowing it, by the fencing token
(docs/explanation/tokens.md).

The highest token with which a file was ever written is kept beside it, in a file of the same name with C{.fence}.
"""

from __future__ import annotations

import fcntl
import os
import stat

from flom.core.tokens import MAX_TOKEN
from flom.errors import FlomError
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

__all__ = ["BrokenFence", "Fence", "FencingError", "InvalidToken", "StaleToken", "read_token"]

_MAX_SIZE: Final = 100  # bytes that are read; a token has at most 19 digits


class FencingError(FlomError):
    """A token is not to be used; the file beside it has not changed."""


class StaleToken(FencingError):
    """
    A holder with a higher token has come since, so this one has lost its lock.

    @ivar token: the one that was checked.
    @ivar highest: the highest one so far.
    """

    def __init__(self, path: str, token: int, highest: int) -> None:
        super().__init__(f"{path}: token {token} is lower than {highest}: the lock has been lost to a later holder")
        self.token = token
        self.highest = highest


class InvalidToken(FencingError, ValueError):
    """What was given is no token: a whole number from 1 to 2**63 - 1."""


class BrokenFence(FencingError):
    """The file with the highest token cannot be read or written, or has something else in it."""


class Fence:
    """The fence of one file; the programs that write that file may be on several hosts, if the file system is."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        @param path: of the file or directory that is to be protected; it need not exist, but its directory must.
        @raise BrokenFence: it is empty, so that no file can be meant.
        """
        name = os.fspath(path).rstrip("/")  # what completes the name of a directory may end in a slash
        if not name:
            raise BrokenFence(f"{os.fspath(path)!r} has no name beside which the highest token can be kept")
        self._path = f"{name}.fence"

    def check(self, token: int | str | None) -> None:
        """
        Check C{token}: from now on, no lower one passes, whatever happens to the machine.

        @param token: C{held.token}, or the text of C{FLOM_TOKEN}.
        @raise StaleToken: a higher one has passed.
        @raise InvalidToken: it is none; L{BrokenFence}: it is not known which was the highest, or cannot be kept.
        """
        number = read_token(token)
        try:
            while not self._pass(number):
                pass  # another program has just replaced the file
        except OSError as e:
            raise BrokenFence(f"{self._path}: {reason(e)}") from e

    def _pass(self, token: int) -> bool:
        """Compare C{token}; return whether that was done with the file that is at the path still."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._write(token)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise BrokenFence(f"{self._path}: it is no file")
            if not self._is_there(before):
                return False
            highest = self._read(descriptor)
            if token < highest:
                raise StaleToken(self._path, token, highest)
            return token == highest or self._write(token, before)
        finally:
            os.close(descriptor)

    def _is_there(self, found: os.stat_result) -> bool:
        try:
            return os.path.samestat(found, os.stat(self._path, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _read(self, descriptor: int) -> int:
        try:
            return read_token(os.read(descriptor, _MAX_SIZE).decode("ascii", "replace").removesuffix("\n"))
        except InvalidToken as e:
            raise BrokenFence(f"{self._path}: {e}") from e

    def _write(self, token: int, before: os.stat_result | None = None) -> bool:
        """
        Replace the file that was there C{before}, which is locked; return whether that was possible.

        @param before: C{None} if there was none, which another program may just have changed.
        """
        new = f"{self._path}.{os.urandom(4).hex()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            if before is not None:
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.chown(descriptor, before.st_uid, before.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            os.write(descriptor, b"%d\n" % token)
            os.fsync(descriptor)
            if before is None:
                os.link(new, self._path)
            else:
                os.rename(new, self._path)
        except FileExistsError:
            return False
        finally:
            os.close(descriptor)
            if os.path.lexists(new):
                os.unlink(new)
        directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return True


def read_token(token: int | str | None) -> int:
    """Return the number that C{token} is, or raise L{InvalidToken}."""
    if isinstance(token, str) and token.isascii() and token.isdigit() and len(token) <= len(str(MAX_TOKEN)):
        token = int(token)
    if not isinstance(token, int) or isinstance(token, bool) or not 0 < token <= MAX_TOKEN:
        raise InvalidToken(f"{token!r:.100} is no fencing token, a whole number from 1 to {MAX_TOKEN}")
    return token
