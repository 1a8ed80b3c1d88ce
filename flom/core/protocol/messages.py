"""The messages of protocol level 3, one value a message (docs/compatibility.md, "Protocol: messages")."""

from __future__ import annotations

from flom.codes import Enum
from flom.core.modes import NL
from flom.core.value import Value
from flom.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.core.modes import LockMode
    from flom.core.requests import LockRequest

LEVEL: Final = 3
"""The protocol level; there is no other to negotiate."""

STATUS_PROBE: Final = "statusprobe"
"""
Prefix of the names by which a client finds out whether a daemon is ours, and understands wishes
(docs/reference/protocol.md).
"""


MOST_PARTS: Final = 64
"""Locks that one request can ask for at once."""

HAS_SESSIONS: Final = 2
"""What L{Lock.extended} is at most; a greater number, of a later version, counts as this."""


class Wishes(Value):
    """
    What a client asks of a lock beyond what FLoM knows; a field that has its default is not wished
    (docs/reference/protocol.md, "Wishes").

    @ivar lineage: public ids: the client's own, then those of the commands it runs under, the nearest first.
    @ivar nested: what to do where such a command is in the way: C{"share"}, C{"wait"}, or to be refused by default.
    @ivar max_hold: seconds, more than 0, after which the daemon ends the lock.
    @ivar value: whether to be L{Told} the value of the resource.
    @ivar key: of the job for which to be told when it was finished last; the empty string for the only one of the
        resource, C{None} for none.
    @ivar ttl: seconds, more than 0, for which the lock is to be held without a process (L{flom.core.holds}); 0 for no
        such hold.
    @ivar hold_as: the name of that hold, for people to read; empty for none.
    @ivar adopts: the handle of the hold that the lock is to go on with, whatever name was asked for; empty for none.
    @ivar parts: all that is to be locked at once, if that is more than one lock; each travels in a L{More} of its own.
    @ivar lock_delay: seconds for which no other client is granted what the client has lost; C{None} for what the daemon
        thinks best.
    @ivar wanted: true to be told when the client stands in the way of another one that waits.
    @ivar left: of a lock that is reclaimed: seconds after which it ends, as the daemon that granted it has said; 0 if
        it has said nothing.
    """

    lineage: tuple[str, ...] = ()
    nested: str = ""
    max_hold: float = 0.0
    value: bool = False
    key: str | None = None
    ttl: float = 0.0
    hold_as: str = ""
    adopts: str = ""
    parts: tuple[Lock, ...] = ()
    lock_delay: float | None = None
    wanted: bool = False
    left: float = 0.0

    @property
    def is_binding(self) -> bool:
        """True if a daemon that does not understand all of it must not grant the lock."""
        return self.replace(lineage=(), nested="", left=0.0) != _NO_WISHES

    @property
    def concerns_kept(self) -> bool:
        """True if anything of what is kept with the resource is wished."""
        return self.value or self.key is not None

    @property
    def is_of_one_lock(self) -> bool:
        """True if anything is wished that cannot be wished of several locks at once."""
        return self.concerns_kept or bool(self.ttl or self.hold_as or self.adopts)


_NO_WISHES: Final = Wishes()

_ASKED_BY: Final = {
    "parts": "several locks at once (several -r, lock_all)",
    "adopts": "--adopt",
    "ttl": "flomctl hold",
    "hold_as": "flomctl hold",
    "key": "--once-per",
    "value": "--value, --read-value (value)",
    "max_hold": "--max-hold (max_hold)",
    "lock_delay": "--lock-delay (lock_delay)",
    "wanted": "--notify-wanted (wanted)",
}
"""The option, and in brackets the argument of the APIs, by which each of the binding L{Wishes} is asked for."""


def asked_by(wishes: Wishes) -> str:
    """Return in words by which options and arguments the binding ones of C{wishes}, one or more, are asked for."""
    if wishes.key is not None:
        wishes = wishes.replace(value=False)  # a command with --once-per asks for the value too
    names = (name for wish, name in _ASKED_BY.items() if getattr(wishes, wish) != getattr(_NO_WISHES, wish))
    return listed(list(dict.fromkeys(names)))


class Note(Value):
    """
    What a client wants to be kept with the resource as it releases the lock (L{flom.core.values}).

    @ivar value: the new value of the resource; C{None} for the present one.
    @ivar key: of the job that it has finished well; C{None} for none, the empty string for the only one.
    @ivar period: seconds within which the job is not to be run again.
    @ivar by: the host that has run it, as its clients name it.
    """

    value: str | None = None
    key: str | None = None
    period: float = 0.0
    by: str = ""


class Told(Value):
    """
    What is kept with the resource, as a client has wished to be told with the grant.

    @ivar value: the empty string if there is none.
    @ivar done: seconds since the job was finished well; C{None} if that is not known.
    @ivar by: the host that has run it.
    """

    value: str = ""
    done: float | None = None
    by: str = ""


class HoldTold(Value):
    """
    What a daemon tells of a hold without a process.

    @ivar handle: of one that has just begun; empty otherwise, because the daemon does not keep it.
    @ivar name: of the resource.
    @ivar quantity: see L{Lock}.
    @ivar ttl: seconds.
    @ivar is_adopted: true if a command has adopted it: its time begins when that has ended.
    """

    handle: str = ""
    name: str = ""
    mode: LockMode = NL
    quantity: int = 0
    ttl: float = 0.0
    is_adopted: bool = False


class Lock(Value):
    """
    A client asks for a resource.

    @ivar name: as it came; it may name nothing.
    @ivar quantity: 0 to 2**31 - 1.
    @ivar lifespan: seconds.
    @ivar peer_id: the sender's unique id (docs/compatibility.md, "Unique id"), if it sent one.
    @ivar regains: true if the sender reclaims this: it held it when its daemon went away; FLoM has no such thing.
    @ivar extended: 0 for a client of FLoM's; 1 if the sender understands L{Unlocked}; L{HAS_SESSIONS} if it also comes
        back when its connection is broken, and says when it leaves.
    @ivar holder: L{Discover.holder} of the questions by which the sender has looked for this daemon; 0 for none.
    @ivar user: the sender's user, for people to read; the empty string if it is not told.
    @ivar command: the name of the program that the lock is for, likewise; without its arguments.
    @ivar session: L{Answer.session} of a connection of the sender's that broke, with which it goes on here.
    @ivar element: what the sender held, if it reclaims an element; C{None} if the type has none.
    @ivar token: the fencing token of what it held; 0 if it does not say.
    @ivar proof: L{Answer.proof} of what it held; the empty string if it had none.
    @ivar more: true if a L{More} follows, once the daemon has said that it is L{Answer.extended}.
    @ivar waited: seconds since the sender has asked first, if the daemon at which it waited has gone; 0 otherwise.
    @ivar wishes: what FLoM does not know; C{None} for nothing. Those that are binding travel in a L{More}.
    """

    verb, step = 1, 8

    name: str
    mode: LockMode = NL
    quantity: int = 0
    wait: bool = False
    create: bool = False
    lifespan: float = 0.0
    peer_id: str | None = None
    regains: bool = False
    extended: int = 0
    holder: int = 0
    user: str = ""
    command: str = ""
    session: str = ""
    element: str | None = None
    token: int = 0
    proof: str = ""
    more: bool = False
    waited: float = 0.0
    wishes: Wishes | None = None

    @property
    def is_of_several(self) -> bool:
        """True if several locks are asked for at once."""
        return self.wishes is not None and bool(self.wishes.parts)

    @property
    def parts(self) -> tuple[Lock, ...]:
        """What is asked for, in its order: this itself, or several locks at once."""
        return (self.wishes.parts if self.wishes is not None else ()) or (self,)

    @property
    def title(self) -> str:
        """The names of all that is asked for, for people to read."""
        return self.name_of(0)

    def name_of(self, number: int) -> str:
        """Return the name of the one of L{parts} that has this C{number}, counted from 1; for 0, all of them."""
        names = [part.name for part in self.parts]
        if 0 < number <= len(names):
            return names[number - 1]
        return listed(names)


class More(Value):
    """
    What had no room in a L{Lock}, beside a long name: its fields of the same names; FLoM has no such message.

    @ivar lock: all that is asked for, if that L{Lock} was a question whether the daemon understands wishes
        (L{STATUS_PROBE}); the other fields say nothing then. If its C{more} is true, another lock follows, which is to
        be granted together with it.
    @ivar more: the same, where L{lock} is C{None} and this adds to the lock of the message before.
    """

    verb, step = 1, 12

    session: str = ""
    element: str | None = None
    token: int = 0
    proof: str = ""
    holder: int = 0
    waited: float = 0.0
    lock: Lock | None = None
    more: bool = False


class Terms(Value):
    """
    What a daemon tells a client together with the secret of its session.

    @ivar timeout: seconds for which it keeps what a client has whose connection is broken; 0 if it does not say.
    @ivar succession: of the leader of a group: seconds that there are at least from the last that was heard of it to
        the first grant of its successor; 0 if it does not say.
    @ivar waits: true if the next daemon at this address waits for the holders on other hosts too.
    @ivar required: true if it keeps that also when the connection has ended in good order, unless the client has said
        goodbye.
    @ivar quorum: true if it leads by a quorum: what it grants ends unless the client is heard, by any kind of
        connection, and another daemon may grant it then.
    """

    timeout: float = 0.0
    succession: float = 0.0
    waits: bool = False
    required: bool = False
    quorum: bool = False


class Answer(Value):
    """
    The daemon says what became of a lock request.

    @ivar step: 16 for the first answer, 24 for later ones; 32 refuses a waiter
        (docs/compatibility.md, "Protocol: client").
    @ivar code: the number of an L{flom.codes.Outcome}; C{None} if there was none in the message.
    @ivar element: what was granted, for sets, sequences and timestamps.
    @ivar peer_id: the daemon's unique id; in step 16 only.
    @ivar extended: true if the daemon does what FLoM's does not, for a client that understands it; in step 16 only,
        and in the first answer after a L{More}.
    @ivar session: the secret by which the client can go on with what it holds or waits for on another connection, if
        this one breaks; only where C{extended} is true, and over TCP.
    @ivar start: names this start of the daemon and its holders files, see L{flom.net.holders}; in step 16 only, and
        empty if there are none.
    @ivar token: the fencing token (L{flom.core.tokens}) of a grant, for such a client; 0 for none.
    @ivar proof: of the grant, 32 hexadecimal digits, which the client says when it reclaims the lock; only together
        with a token, and empty if the daemon gives none.
    @ivar terms: what is told together with C{session}.
    @ivar wishes: true if the daemon understands L{Wishes}; said when it asks for a L{More}.
    @ivar converts: true if the daemon understands L{Convert}; only where C{extended} is true.
    @ivar told: what is kept with the resource; C{None} if that was not wished.
    @ivar why: the reason of a refusal, if C{code} does not say all of it.
    @ivar hold: the hold that was begun, or adopted; C{None} if that was not wished.
    @ivar part: counts L{Wishes.parts} from 1: which of several locks this grants, or because of which it refuses all
        of them; 0 for one lock.
    @ivar left: of a grant: seconds after which the daemon ends the lock; 0 if it does not.
    """

    verb = 1

    step: int
    code: int | None
    element: str | None = None
    peer_id: str | None = None
    extended: bool = False
    session: str = ""
    start: str = ""
    token: int = 0
    proof: str = ""
    terms: Terms = Terms()
    wishes: bool = False
    told: Told | None = None
    why: str = ""
    hold: HoldTold | None = None
    part: int = 0
    converts: bool = False
    left: float = 0.0


class Unlock(Value):
    """
    A client releases one holding, or withdraws; only L{Lock.extended} clients are answered.

    @ivar note: what is to be kept with the resource; C{None} for nothing.
    """

    verb, step = 2, 8

    name: str
    rollback: bool = False
    note: Note | None = None


class WhyWithdrawn(str, Enum):
    """Why a client waits no longer, as far as the daemon can know."""

    TIMEOUT = "timeout"  # the client says that its time was over
    SIGNAL = "signal"  # the client says that a signal ended its wait
    GONE = "gone"  # the client has ended the connection, or its wait, without saying why; this does not travel


class Goodbye(Value):
    """
    A client withdraws what it has asked for, or rolls it back if it was granted meanwhile, and says why. It closes the
    connection then, and is not answered. To a daemon that does not know C{reason}, this is an L{Unlock}.

    @ivar reason: not L{WhyWithdrawn.GONE}: to say no reason, a client sends an L{Unlock}.
    """

    verb, step = 2, 8

    name: str
    reason: WhyWithdrawn


class Convert(Value):
    """
    A client changes the mode of a lock that it holds, which is answered by L{ConvertAnswer}. It is sent only to a
    daemon that has said that it L{Answer.converts}; any other one would close the connection, and free the lock.

    The last one counts: to give up one that waits, a client converts to the mode that it holds.

    @ivar wait: wait if the mode cannot be granted now.
    @ivar number: is repeated in the answers, 1 to 2**31 - 1.
    """

    verb, step = 7, 8

    name: str
    mode: LockMode
    wait: bool = True
    number: int = 1


class ConvertAnswer(Value):
    """
    What became of a L{Convert}.

    @ivar step: 16 for the first answer, 24 for a later one.
    @ivar code: the number of an L{flom.codes.Outcome}: granted, queued, or the reason why the lock is held as it was.
    @ivar mode: that was asked for; if it is granted, it is held now.
    @ivar token: of a grant, see L{Answer.token}, as for C{proof}.
    @ivar why: the reason of a refusal, if C{code} does not say all of it.
    """

    verb = 7

    step: int
    code: int | None
    mode: LockMode
    number: int
    token: int = 0
    proof: str = ""
    why: str = ""


class Unlocked(Value):
    """
    The daemon has taken an L{Unlock}; FLoM's daemons never say so.

    @ivar kept: true if the L{Unlock.note} is kept durably.
    @ivar why: the reason why it is not; empty if there was no note, or the daemon knows none.
    """

    verb, step = 2, 16

    kept: bool = False
    why: str = ""


class Contested(Value):
    """
    The daemon has found out that another one has granted the lock too, while neither could hear the other. Only
    L{Lock.extended} clients are told, while they hold it; they hold it still.
    """

    verb, step = 2, 24


class Revoked(Value):
    """
    An administrator has ended what the client holds, or it has been held for too long; the connection ends too, and
    what was held cannot be reclaimed. Only L{Lock.extended} clients are told.

    @ivar by: who has, for people to read; older clients take it for an administrator in either case.
    @ivar limit: seconds for which it might be held, if that is why; 0 otherwise.
    """

    verb, step = 2, 32

    by: str = ""
    limit: float = 0.0


class Wanted(Value):
    """The client stands in the way of another one that waits; only those are told that have L{Wishes.wanted}."""

    verb, step = 2, 40


class Ping(Value):
    """
    Reserved by FLoM, which never sends it; it takes one for an error. A client of ours that has a session asks by it
    whether the daemon is there.

    @ivar step: 8 for the question, 16 for the answer.
    """

    verb = 3

    step: int


class Role(str, Enum):
    """What a daemon is to its group; the text travels."""

    CANDIDATE = "candidate"  # stands for election
    LEADER = "leader"  # grants locks
    STANDBY = "standby"  # would stand for election if the leader were gone
    LEAVING = "leaving"  # has led until now


class Standing(Value):
    """
    What a daemon of a group says of itself; FLoM's daemons say nothing of the kind.

    @ivar node: names the process; no two have the same.
    @ivar since: when it took up its role, in milliseconds since the epoch, by its own clock.
    @ivar quorum: true if a quorum decides whether it leads.
    """

    node: str
    role: Role
    since: int
    quorum: bool = False


class Discover(Value):
    """
    A question for a daemon, or what a daemon tells its group; it travels in a datagram.

    @ivar group: the multicast group; daemons of other groups ignore the message. FLoM's clients do not name it, and
        understand nothing but the address of the daemon.
    @ivar everyone: true if daemons that stand by are to answer too.
    @ivar orphaned: true if the client holds a lock of a daemon that has gone, and wants to reclaim it.
    @ivar holder: tells such a client from the others, and is said again in its L{Lock}: 1 to 2**32 - 1; 0 for none.
    @ivar standing: set if this is no question, but the announcement of a daemon. FLoM's daemons answer it all the
        same, which is how they are found.
    @ivar relayed: true if a standby sends the standing of its leader.
    @ivar address: where that daemon listens, as in L{Discovered}; C{port} is 0 if it does not say.
    @ivar number: counts the announcements of a daemon; 0 if it does not say. One that was recorded, and is sent again,
        has a number that is not new.
    @ivar epoch: of a daemon that leads (L{flom.core.tokens}); 0 if it does not say.
    @ivar nonce: of a question, what the seal of its answer covers too; see L{flom.core.group.key.GroupKey}.
    @ivar successor: the node of the standby that this leader is about to hand over to; empty if it is not.
    @ivar promise: by which that daemon knows the leader's L{Offer}: L{flom.core.group.key.promise_of} its nonce.
    """

    verb, step = 4, 8

    group: str = ""
    everyone: bool = False
    orphaned: bool = False
    standing: Standing | None = None
    relayed: bool = False
    address: str = ""
    port: int = 0
    number: int = 0
    nonce: str = ""
    holder: int = 0
    epoch: int = 0
    successor: str = ""
    promise: str = ""


class Discovered(Value):
    """
    A daemon says where it is.

    @ivar address: a host; empty for the one that the datagram came from.
    @ivar standing: what it is to its group; C{None} for a daemon of FLoM, which cannot but lead.
    @ivar host: the name of the machine.
    @ivar version: of the daemon.
    @ivar alone: true if it leads, and has heard lately that no other daemon does.
    """

    verb, step = 4, 16

    address: str
    port: int
    standing: Standing | None = None
    host: str = ""
    version: str = ""
    alone: bool = False


class Shutdown(Value):
    """
    A client orders the daemon to end; only a refusal is answered.

    @ivar immediate: true for at once, false for when no client needs it any more.
    @ivar drain: true to grant nothing more until then, and to end when nothing is held; FLoM's daemons ignore it.
    @ivar handover: true to go on, and leave the granting to a standby of the group; FLoM's daemons ignore it. It is
        answered by L{HandedOver}.
    """

    verb, step = 5, 8

    immediate: bool
    peer_id: str | None = None
    drain: bool = False
    handover: bool = False


class StatusRequest(Value):
    """A client asks what the daemon holds, of all resources or of one; see L{ClientConnection.request_status}."""

    verb, step = 5, 8

    name: str | None = None
    peer_id: str | None = None


class StatusFollows(Value):
    """The daemon's status, of C{size} bytes, comes after this message."""

    verb, step = 5, 16

    size: int


class ManagementRefused(Value):
    """The client has no right to what it has ordered; a daemon of FLoM never says so."""

    verb, step = 5, 16


class HandedOver(Value):
    """
    The leader of a group says whether it has handed over to a standby.

    @ivar leader: the one that leads now, for people to read; empty if this daemon still does.
    @ivar why: the reason for that; empty if there is none.
    """

    verb, step = 5, 24

    leader: str = ""
    why: str = ""


class Revoke(Value):
    """
    An administrator ends a lock that another client holds; answered by L{RevokeAnswer}, or refused. FLoM's daemons, and
    older ones of ours, must not be sent it.

    @ivar name: the resource, or a node of it, of the lock.
    @ivar number: that the lock has in the status of the daemon.
    @ivar user: the name of the administrator's user, as the client tells it.
    """

    verb, step = 5, 8

    name: str
    number: int
    peer_id: str | None = None
    user: str = ""


class RevokeAnswer(Value):
    """
    What became of a L{Revoke}.

    @ivar why: the reason why nothing has changed; empty if the lock has ended.
    """

    verb, step = 5, 32

    why: str = ""


class HoldOrder(Value):
    """
    A client renews or releases a hold without a process; answered by L{HoldAnswer}. FLoM's daemons, and older ones of
    ours, must not be sent it.

    @ivar handle: of the hold.
    @ivar is_release: true to release it; false to begin its time anew.
    @ivar ttl: seconds of its new TTL; 0 for the one that it has.
    @ivar user: see L{Revoke}.
    """

    verb, step = 5, 8

    handle: str
    is_release: bool = False
    ttl: float = 0.0
    peer_id: str | None = None
    user: str = ""


class HoldAnswer(Value):
    """
    What became of a L{HoldOrder}.

    @ivar hold: as it is now, or was; C{None} if there is none, or nothing has changed.
    @ivar why: the reason why nothing has changed; empty if it has.
    """

    verb, step = 5, 40

    hold: HoldTold | None = None
    why: str = ""


class Challenge(Value):
    """
    A leader asks a daemon of its group whether it is the leader that has announced itself; the only message of its
    connection. FLoM's daemons never get one.

    @ivar node: of the leader that asks.
    @ivar nonce: random, 32 hexadecimal digits.
    """

    verb, step = 6, 8

    group: str
    node: str
    nonce: str


class Proof(Value):
    """
    The answer to a L{Challenge}; C{size} bytes follow, which list what is held there
    (L{flom.core.locks.overlap.list_held}).

    @ivar standing: of the daemon that answers; C{None} if it is in no group, or in another one.
    @ivar nonce: random, 32 hexadecimal digits; the list is salted with those of both messages.
    @ivar proof: see L{flom.core.group.key.prove}.
    @ivar sealed: the same with the key of the group; empty if the daemon has none.
    """

    verb, step = 6, 16

    standing: Standing | None
    nonce: str = ""
    proof: str = ""
    sealed: str = ""
    size: int = 0


class Offer(Value):
    """
    A leader offers a standby to hand over to it; the only message of its connection, on which lines follow
    (L{flom.server.group.handover}).

    @ivar node: of the leader.
    @ivar nonce: random, 32 hexadecimal digits; the leader has announced what comes of it, see L{Discover.promise}.
    @ivar sealed: see L{flom.core.group.key.vouch}.
    """

    verb, step = 6, 24

    group: str
    node: str
    nonce: str
    sealed: str = ""


Request = Lock | More | Unlock | Goodbye | Convert | Shutdown | StatusRequest | Revoke | HoldOrder | Ping
Reply = (
    Answer
    | ConvertAnswer
    | Unlocked
    | Contested
    | Revoked
    | Wanted
    | StatusFollows
    | ManagementRefused
    | HandedOver
    | RevokeAnswer
    | HoldAnswer
)
Message = Request | Reply | Discover | Discovered | Challenge | Proof | Offer


def is_probe(name: str, asked: Lock | LockRequest) -> bool:
    """Return whether C{asked}, of a resource with this C{name}, asks for no lock, but what kind of daemon this is."""
    return name.startswith(STATUS_PROBE) and not (asked.wait or asked.create)


def kind(message: Message) -> str:
    """Return in a word what C{message} is, for errors."""
    return type(message).__name__.lower()
