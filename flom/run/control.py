"""
What a command asks its C{flom-run} for, by the descriptor that it has in C{FLOM_CONTROL_FD}: to convert its lock
(docs/howto/convert.md), or to set the value of its resource (docs/howto/once-per-period.md).

Each question is a line, and so is its answer. C{flomctl} sends a socket of its own with its question, for the answer
alone: so several processes can ask at once, and one that ends withdraws what it has asked for. They are answered one
after another.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from flom.client.blocking.converting import Conversions
from flom.client.blocking.stream import NEVER
from flom.config.parsers import read_timeout
from flom.core.requests import ask_to_convert
from flom.errors import FlomError, InvalidRequest, LockBusy, LockDeadlock
from flom.lean import socket
from flom.text import one_line
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from select import poll
    from typing import Final

    from flom.client.blocking.connection import Conversation

_LONGEST: Final = 1024  # bytes of a question
_MOST: Final = 1000  # questions that wait for their turn
_CLOEXEC: Final = 0x40000000  # the kernel's MSG_CMSG_CLOEXEC, which the module in C does not name

_trace = tracer("exec")


class _Question:
    """
    A line that was read.

    @ivar asker: the socket for the answer; C{None} for the one that it has come by.
    """

    __slots__ = ("asker", "line")

    def __init__(self, line: str, asker: socket.socket | None) -> None:
        self.line = line
        self.asker = asker


class Control:
    """Our end of the socket of a command."""

    def __init__(
        self,
        ours: socket.socket,
        waiting: poll,
        conversions: Conversions | None,
        begin: Callable[[], None],
        decided: Callable[[], None],
        set_value: Callable[[str], str],
    ) -> None:
        """
        @param ours: our end.
        @param waiting: with which the caller waits, for C{ours} already; L{look} is to be called after each wait.
        @param conversions: of the lock; C{None} if there are several.
        @param begin: called before the lock is about to change its mode.
        @param decided: called when it has, or has not.
        @param set_value: makes a text the value that is kept at the release, and returns the name of the resource;
            raises L{FlomError} if that is not possible.
        """
        self._ours = ours
        self._waiting = waiting
        self._conversions = conversions
        self._begin_change = begin
        self._decided = decided
        self._set_value = set_value
        self._received = b""
        self._questions: list[_Question] = []
        self._asked: _Question | None = None  # which is being dealt with
        self._deadline = NEVER
        self._timeout = ""
        self._is_open = True
        ours.setblocking(False)

    @property
    def left(self) -> float:
        """Seconds until L{look} is to be called, whatever happens."""
        return max(0.0, self._deadline - monotonic())

    def look(self, ready: list[int], conversation: Conversation, why_lost: str = "") -> None:
        """
        Read what has come, and answer what can be answered.

        @param ready: the descriptors with which something can be done.
        @param conversation: on which the lock is held, all of which was read.
        @param why_lost: why it is not held any more; empty if it is.
        """
        if self._is_open and self._ours.fileno() in ready:
            self._read()
        self._note_gone(ready, conversation)
        self._note_decision(conversation, why_lost)
        while self._asked is None and self._questions:
            self._asked = self._questions.pop(0)
            self._begin(conversation, why_lost)
            self._note_decision(conversation, why_lost)

    def resume(self, conversation: Conversation) -> None:
        """Go on with C{conversation}, by which the lock was reclaimed."""
        if self._conversions is not None:
            self._conversions.resume(conversation)

    def _begin(self, conversation: Conversation, why_lost: str) -> None:
        """Ask the daemon for what is wanted, or answer at once."""
        assert self._asked is not None
        words, conversions = self._asked.line.split(), self._conversions
        word, _, text = self._asked.line.partition(" ")
        try:
            if word == "value":
                self._check_held(why_lost)
                self._answer("set", self._set_value(text))
                return
            if words[:1] != ["convert"] or not 2 <= len(words) <= 3:
                line = one_line(" ".join(words))[:60]
                raise InvalidRequest(f"{line!r} is no question: convert MODE [SECONDS], or value TEXT")
            if conversions is None:
                raise InvalidRequest("several locks are held at once: none of them can be converted")
            self._check_held(why_lost)
            try:
                timeout = read_timeout(words[2]) / 1000 if len(words) == 3 else None
            except ValueError as e:
                raise InvalidRequest(f"{words[2]!r}: {e}") from None
            asked = ask_to_convert(conversions.message.name, words[1], timeout)
        except FlomError as e:
            self._answer("error", str(e))
            return
        self._begin_change()
        self._timeout = "" if asked.timeout is None else words[2]
        self._deadline = NEVER if asked.timeout is None else monotonic() + asked.timeout
        conversions.ask(conversation, asked)

    def _check_held(self, why_lost: str) -> None:
        if why_lost:
            raise InvalidRequest(f"the lock was lost: {why_lost}")

    def _note_decision(self, conversation: Conversation, why_lost: str) -> None:
        """Answer what is being dealt with, if it is decided, or if its time is over."""
        conversions = self._conversions
        if self._asked is None or conversions is None:
            return
        if why_lost:
            self._answer("error", f"the lock was lost: {why_lost}")
        elif not conversions.is_waiting:
            refusal = conversions.refusal
            self._decided()
            if refusal is None:
                self._answer("converted", f"{conversions.mode.name} {conversions.token or 0}")
            else:
                kinds = ((LockBusy, "busy"), (LockDeadlock, "deadlock"), (FlomError, "error"))
                self._answer(next(word for kind, word in kinds if isinstance(refusal, kind)), str(refusal))
        elif monotonic() >= self._deadline:
            conversions.stay(conversation)
            self._decided()
            self._answer("busy", f"{conversions.message.name}: not converted within {self._timeout}")

    def _answer(self, word: str, text: str) -> None:
        """Answer what is being dealt with."""
        assert self._asked is not None
        asker, self._asked, self._deadline = self._asked.asker, None, NEVER
        line = f"{word} {one_line(text)}\n".encode("utf-8", "surrogateescape")
        try:
            (asker or self._ours).send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as e:
            _trace.debug("no answer to the command: %s", e)
        if asker is not None:
            self._forget(asker)

    def _read(self) -> None:
        """Read all that has come."""
        while self._is_open:
            try:
                data, ancillary, _, _ = self._ours.recvmsg(_LONGEST, socket.CMSG_SPACE(16 * 4), _CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            descriptors = [
                int.from_bytes(rights[n : n + 4], sys.byteorder)
                for level, kind, rights in ancillary
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                for n in range(0, len(rights) - 3, 4)
            ]
            if not data:
                self._close()
            self._received += data
            *lines, self._received = self._received.split(b"\n")
            if len(self._received) > _LONGEST:
                lines, self._received = [*lines, self._received[:_LONGEST]], b""
            askers = [asker for number in descriptors if (asker := _socket(number)) is not None]
            for line in lines:
                text = line.decode("utf-8", "surrogateescape")
                self._add(_Question(text, askers.pop(0) if askers else None))
            for asker in askers:
                asker.close()

    def _add(self, question: _Question) -> None:
        if len(self._questions) >= _MOST:
            if question.asker is not None:
                question.asker.close()
            return
        self._questions.append(question)
        if question.asker is not None:
            self._waiting.register(question.asker.fileno(), 0)  # which tells when its other end is closed

    def _note_gone(self, ready: list[int], conversation: Conversation) -> None:
        """Withdraw what nobody waits for any more."""
        for question in [*self._questions, *([self._asked] if self._asked is not None else [])]:
            asker = question.asker
            if asker is not None and asker.fileno() in ready:
                if question is self._asked:
                    if self._conversions is not None:
                        self._conversions.stay(conversation)
                        self._decided()
                    self._asked, self._deadline = None, NEVER
                else:
                    self._questions.remove(question)
                self._forget(asker)

    def _forget(self, asker: socket.socket) -> None:
        self._waiting.unregister(asker.fileno())
        asker.close()

    def _close(self) -> None:
        """Read no more: the command, and all that it has started, have closed their ends."""
        self._is_open = False
        self._waiting.unregister(self._ours.fileno())


def _socket(descriptor: int) -> socket.socket | None:
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
    except OSError:
        os.close(descriptor)
        return None
