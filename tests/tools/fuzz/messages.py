"""
What clients of daily life may send, in any order.

All choices are those of a C{random.Random}, so that a seed, hypothesis or a fuzzer can make them.
"""

from __future__ import annotations

from base64 import b64encode
from random import Random
from typing import Any, Final

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode, extend, split
from flom.core.protocol.framing import MessageReader
from flom.core.protocol.messages import (
    Answer,
    Contested,
    Convert,
    ConvertAnswer,
    Discover,
    Discovered,
    Goodbye,
    HoldAnswer,
    HoldOrder,
    HoldTold,
    Lock,
    Message,
    More,
    Note,
    Offer,
    Ping,
    Revoke,
    Revoked,
    Shutdown,
    StatusRequest,
    Terms,
    Told,
    Unlock,
    Unlocked,
    Wanted,
    WhyWithdrawn,
    Wishes,
)
from flom.core.protocol.parts import together
from flom.errors import LocalProtocolError, RemoteProtocolError

PEER_ID: Final = "0123456789abcdef0123456789abcdef"

HANDLE: Final = f"hold-{'0' * 8}-{'f' * 32}"

NAMES: Final = [
    "R1",
    "R2",
    "N[3]",
    "red.green.blue",
    "/t",
    "/t/a",
    "/t/a/b",
    "/t/c",
    "_s_q[2]",
    "_S_q[2]",
    "_t_%s#fff[2]",
]
"""At least one resource of each type, so few that clients meet."""


def valid_lock(random: Random, name: str, **attributes: Any) -> Lock:
    """Ask for C{name} in any way that its type knows."""
    has_mode = name.startswith("/") or name.isalnum()
    asked: dict[str, Any] = {
        "mode": random.choice(list(LockMode)) if has_mode else LockMode.NL,
        "quantity": random.choice([0, 1, 1, 2, 3, 4]) if name.startswith("N[") else 0,
        "wait": random.random() < 0.8,
        "create": random.random() < 0.85,
        "lifespan": random.choice([0.0, 0.0, 0.5, 1.5]),
        "peer_id": random.choice([PEER_ID, PEER_ID, None]),
        "regains": random.random() < 0.02,
        "holder": random.choice([0, 0, 0, 1, 2**32 - 1]),
        "session": random.choice(["", "", "", "0" * 32, "none"]),
        "element": random.choice([None, None, "a", "7"]),
        "token": random.choice([0, 0, 0, 1, 2**62 + 1]),
        "proof": random.choice(["", "", "", "0" * 32, "f" * 32]),
        "waited": random.choice([0.0, 0.0, 0.0, 3.5]),
    }
    return Lock(name, **asked | attributes)


def mutated(random: Random, lock: Lock) -> Lock:
    """Return C{lock}, which reclaims what was held, with one thing in it that is not true; mostly."""
    wrong: dict[str, list[Any]] = {
        "token": [0, 1, lock.token + 1, max(0, lock.token - 1), 2**62 + 1],
        "element": [None, "a", "7"],
        "session": ["", "0" * 32, lock.session[::-1]],
        "proof": ["", "0" * 32, lock.proof[::-1]],
        "holder": [0, 1, 2**32 - 1],
        "regains": [True],
    }
    what = random.choice(list(wrong))
    return lock.replace(**{what: random.choice(wrong[what])})


def any_message(random: Random) -> Message:
    """Return a valid message, of either side and of any step."""
    name = random.choice([*NAMES, "no name"]) if random.random() < 0.1 else random.choice(NAMES)
    match random.randrange(12):
        case 0:
            return StatusRequest(random.choice([None, "R1", "R1", "nobody has this"]))
        case 1:
            return Shutdown(immediate=random.random() < 0.5, drain=random.random() < 0.1)
        case 2:
            holder = random.choice([0, 1, 2**32 - 1])
            asked = Discover("ff02::1", orphaned=random.random() < 0.5, holder=holder)
            others: list[Message] = [
                asked,
                Ping(16),
                Discover(),
                Unlocked(),
                Unlocked(True),
                Unlocked(why="x"),
                Contested(),
                Discovered("", 1),
            ]
            others += [Revoke(name, 3), Revoked("x"), HoldOrder(HANDLE, True), HoldOrder(HANDLE, ttl=5.0, user="x")]
            others += [HoldAnswer(why="x"), HoldAnswer(HoldTold("", name, ttl=0.5)), Revoked("x", 60.0), Wanted()]
            others += [ConvertAnswer(16, 1, LockMode.EX, 1), ConvertAnswer(16, 20, LockMode.EX, 1, why="x")]
            others += [ConvertAnswer(24, 0, LockMode.PR, 2**31 - 1, 2**63 - 1, "f" * 32)]
            return random.choice([*others, Offer("ff02::1", "0" * 16, "0" * 32, "")])
        case 9:
            lock = valid_lock(random, name)
            rest = More(lock.session, lock.element, lock.token, lock.proof, lock.holder, lock.waited)
            rest = rest.replace(more=random.random() < 0.3)
            made, more = any_wishes(random), random.random() < 0.3
            wished = More(lock=lock.replace(wishes=made, peer_id=None, user="", command="", more=more))
            changed = Convert(
                name, random.choice(list(LockMode)), random.random() < 0.8, random.choice([1, 2, 2**31 - 1])
            )
            possible: list[Message] = [rest, wished, Ping(8), changed, changed]
            return random.choice(possible)
        case 3:
            code, token = random.choice([0, 1, 2, 4, 5, 6, -14, 99]), random.choice([0, 0, 1, 2**63 - 1])
            proof = random.choice(["", "f" * 32]) if token else ""
            terms = random.choice([Terms(), Terms(10.0, 2.75, True, True)])
            session = random.choice(["", "0" * 32])
            said: dict[str, Any] = {"session": session, "terms": terms} if session else {}
            told = random.choice([None, None, Told(), Told("tape7", 3.5, "one"), Told("<&>", 0.0)])
            hold = random.choice([None, None, None, HoldTold(HANDLE), HoldTold("", name, LockMode.PR, 3, 60.0, True)])
            said |= {"hold": hold, "told": told, "why": random.choice(["", "", 'it is "x"'])}
            said |= {"extended": bool(session), "converts": bool(session) and random.random() < 0.5}
            said["part"] = random.choice([0, 0, 0, 1, 64])
            return Answer(random.choice([16, 24, 32]), code, token=token, proof=proof, **said)
        case 4 | 5 | 6:
            if random.random() < 0.1:
                return Goodbye(name, random.choice([WhyWithdrawn.TIMEOUT, WhyWithdrawn.SIGNAL]))
            note = random.choice([None, None, None, Note("tape7"), Note("", "", 60.0, "one"), Note(key="monday")])
            return Unlock(name, rollback=random.random() < 0.3, note=note)
        case _:
            extended = random.choice([0, 0, 0, 1, 2])
            wishes = any_wishes(random) if extended and random.random() < 0.2 else None
            return valid_lock(random, name, extended=extended, more=random.random() < 0.1, wishes=wishes)


def several_locks(random: Random) -> bytes:
    """Return a request for several locks at once, perhaps not whole, or with a name that comes twice."""
    locks = [valid_lock(random, random.choice(NAMES)) for _ in range(random.randint(2, 4))]
    message = extend(together([lock.replace(regains=locks[0].regains, wait=locks[0].wait) for lock in locks]))
    first, following = split(message)
    said = [first, *map(encode, following)]
    return b"".join(said[: random.choice([len(said), len(said), random.randint(1, len(said))])])


def any_wishes(random: Random) -> Wishes:
    """Return wishes, of which at least one is made."""
    lineage = random.choice([("0123456789abcdef",), ("0" * 16, "f" * 16)])
    kept = random.choice([(False, None), (True, None), (True, ""), (False, "monday")])
    wishes = Wishes(lineage, random.choice(["", "share", "wait"]), random.choice([0.0, 0.001, 60.0]), *kept)
    hold: dict[str, Any] = random.choice([{}, {"ttl": 600.0, "hold_as": "<deploy>"}, {"adopts": HANDLE}])
    limits: list[dict[str, Any]] = [{}, {"lock_delay": 0.0, "wanted": True}, {"lock_delay": 0.01, "left": 0.001}]
    return wishes.replace(**hold, **random.choice(limits))


def spelled(message: Message) -> bytes:
    """Write C{message}, even a lock of what is no name."""
    try:
        return encode(message)
    except LocalProtocolError:
        name = b64encode(getattr(message, "name", "").encode()).decode()
        return f'<msg level="3" verb="1" step="8"><resource name="{name}" mode="5" wait="1" create="1"/></msg>'.encode()


def orders_shutdown(data: bytes) -> bool:
    """Return whether a daemon that is sent C{data} would obey an order to end."""
    try:
        return any(isinstance(message, Shutdown) for message in MessageReader().feed(data))
    except RemoteProtocolError:
        return False  # nothing is read after it, and those before were none
