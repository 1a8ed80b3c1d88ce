"""
Scripts for the lock table, which a reader can check line by line.

A line is a call and, after the arrow, all that follows from it::

    1 lock db EX        -> granted            session 1 asks; more words: a quantity as x3, nowait, nocreate, lifespan=3
    2 lock db EX        -> queued
    1 unlock db         -> 2 granted          an effect for another session says which; "rollback" may follow the name
    2 withdraw db       -> nothing            gives up the request for db that it waits for, and nobody is served
    2 gives up db       -> nothing            likewise, and who has waited behind it is served
    2 unlock            -> nothing            all that it holds, or else waits for
    2 drop              -> nothing            its connection is gone
    1 convert db PR     -> converted PR       changes the mode of what it holds; "converting" if that waits
    2 lock a.b had=b    -> granted b          reclaims what another daemon had granted; "had" alone, if without element
    3 lock a EX + b PR  -> granted, granted   asks for several at once
    4 lock a EX as=y,x  -> queued             its public id is y, and it runs under a command whose public id is x
    daemon ends         -> nothing            another one begins, which remembers what is to be; "dies" if it is killed
    after 1.5           -> 3 granted :02      so many seconds later; what was granted stands last
    drain               -> nothing            from now on, nothing is granted any more

Time begins at noon.
"""

from __future__ import annotations

import re
import time
from typing import Final

from flom.core.effects import (
    Converted,
    Converting,
    Effect,
    Ended,
    Granted,
    Incubated,
    Instant,
    NotConverted,
    Queued,
    Refused,
    Withdrawn,
)
from flom.core.locks.positions import Remembered
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import WhyWithdrawn, Wishes
from flom.core.requests import LockRequest, SessionId, SetRequest
from flom.errors import RemoteProtocolError

NOON: Final = 1_699_963_200  # 2023-11-14 12:00:00 UTC


def check(script: str, max_overtaking: int = 0) -> None:
    """Make the calls of C{script}, and compare what follows from each with what stands there."""
    table = Script(max_overtaking)
    for line in script.strip().splitlines():
        call, _, expected = line.partition("->")
        assert f"{call.strip()} -> {table.run(call)}" == f"{call.strip()} -> {expected.strip()}"


class Script:
    """Reads the lines to a table."""

    def __init__(self, max_overtaking: int = 0) -> None:
        self.max_overtaking = max_overtaking
        self.table = self.make_table()
        self.remembered: dict[str, Remembered] = {}
        self.microseconds = 0
        self.waiting: dict[tuple[str, str], LockRequest] = {}

    def run(self, call: str) -> str:
        """Make one call; write what follows from it as the script would."""
        written = self.call(call)
        self.save()
        return written

    def make_table(self) -> LockTable:
        return LockTable(
            lambda format, wall: time.strftime(format, time.gmtime(wall)), max_overtaking=self.max_overtaking
        )

    def save(self) -> None:
        changed = self.remembered | self.table.unsaved
        self.remembered = {name: one for name, one in changed.items() if one is not None}
        self.table.unsaved.clear()

    def call(self, call: str) -> str:
        match call.split():
            case ["drain"]:
                self.table.is_draining = True
                return "nothing"
            case ["after", seconds]:
                self.microseconds += round(float(seconds) * 1e6)
                return self.write("", self.table.expire(self.now))
            case [session, "lock", *words] if "+" in words:
                parts = (part.split() for part in " ".join(words).split("+"))
                all_parts = SetRequest(tuple(read_request(session, name, rest) for name, *rest in parts))
                self.waiting |= {(session, part.name.text): part for part in all_parts.parts}
                return self.write(session, self.table.request_all(all_parts, self.now))
            case [session, "lock", name, *words]:
                request = read_request(session, name, words)
                self.waiting[session, name] = request
                return self.write(session, self.table.request(request, self.now))
            case [session, "convert", name, mode, *words]:
                wait, key = "nowait" not in words, parse_name(name)
                try:
                    effects = self.table.convert(SessionId(int(session)), key, LockMode[mode], self.now, wait=wait)
                except RemoteProtocolError:
                    return "protocol error"
                return self.write(session, effects)
            case ["refuse", "conversions"]:
                return self.write("", self.table.refuse_conversions())
            case [session, "withdraw", name]:
                self.table.withdraw(self.waiting[session, name])
                return "nothing"
            case [session, "unlock", name, *words]:
                rollback = words == ["rollback"]
                try:
                    effects = self.table.release(SessionId(int(session)), parse_name(name), self.now, rollback=rollback)
                except RemoteProtocolError:
                    return "protocol error"
                return self.write(session, effects)
            case [session, "unlock"]:
                return self.write(session, self.table.release_all(SessionId(int(session)), self.now))
            case [session, "gives", "up", name]:
                reason = WhyWithdrawn.SIGNAL
                return self.write(
                    session, self.table.give_up(SessionId(int(session)), parse_name(name), self.now, reason)
                )
            case [session, "drop"]:
                return self.write(session, self.table.drop(SessionId(int(session)), self.now))
            case ["daemon", "ends" | "dies" as how]:
                if how == "ends":
                    self.table.settle()
                    self.save()
                self.table = self.make_table()
                self.table.remember(self.remembered.values(), self.now)
                return "nothing"
        raise AssertionError(call)

    @property
    def now(self) -> Instant:
        return Instant(self.microseconds / 1e6, (NOON * 1_000_000 + self.microseconds) / 1e6)

    def write(self, caller: str, effects: list[Effect]) -> str:
        texts = []
        for effect in effects:
            if isinstance(effect, Ended | Withdrawn):
                continue  # nobody is told
            session = str(effect.request.session)
            texts.append(f"{session} {what(effect)}" if session != caller else what(effect))
        return ", ".join(texts) or "nothing"


def read_request(session: str, name: str, words: list[str]) -> LockRequest:
    mode, quantity, lifespan, element, wishes = LockMode.EX, 1, 0.0, None, None
    for word in words:
        if word in LockMode.__members__:
            mode = LockMode[word]
        elif re.fullmatch(r"x\d+", word):
            quantity = int(word[1:])
        elif word.startswith("lifespan="):
            lifespan = float(word.removeprefix("lifespan="))
        elif word.startswith("had="):
            element = word.removeprefix("had=")
        elif word.startswith("as="):
            wishes = Wishes(lineage=tuple(word.removeprefix("as=").split(",")))
        else:
            assert word in ("nowait", "nocreate", "had"), word
    return LockRequest(
        SessionId(int(session)),
        parse_name(name),
        mode,
        quantity,
        "nowait" not in words,
        "nocreate" not in words,
        lifespan,
        regains="had" in words or element is not None,
        element=element,
        wishes=wishes,
    )


def what(effect: Effect) -> str:
    match effect:
        case Granted(element=element):
            return "granted" if element is None else f"granted {element}"
        case Converted(request=request):
            return f"converted {request.mode.name}"
        case Converting():
            return "converting"
        case NotConverted(mode=mode, outcome=outcome):
            return f"not {mode.name}: {outcome.name.lower().replace('_', ' ')}"
        case Queued():
            return "queued"
        case Incubated():
            return "incubated"
        case Refused(outcome=outcome):
            return outcome.name.lower().replace("_", " ")
    raise AssertionError(effect)
