"""What comes out of the two ends of a connection: events for the client, orders for the daemon."""

from __future__ import annotations

from flom.core.protocol.messages import (
    Challenge,
    Contested,
    HandedOver,
    HoldAnswer,
    HoldOrder,
    ManagementRefused,
    Message,
    Offer,
    Ping,
    Revoke,
    RevokeAnswer,
    Revoked,
    Shutdown,
    StatusRequest,
    Unlocked,
    Wanted,
    WhyWithdrawn,
)
from flom.core.requests import LockRequest, SetRequest
from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.codes import Outcome
    from flom.core.modes import LockMode
    from flom.core.names import ResourceName
    from flom.core.protocol.messages import HoldTold, Note, Told


class Introduced(Value):
    """
    The peer has named itself: a client before its first order, a daemon before each decision about a lock.

    @ivar peer_id: its unique id (docs/compatibility.md, "Unique id"), to be checked against its certificate where that
        is wanted; C{None} if it sent none.
    @ivar message: the message that has the id; if it does not fit the certificate, a request to manage the daemon is
        refused (L{ServerConnection.refuse_management}), and a request for a lock is not answered.
    """

    peer_id: str | None
    message: Message


class Waiting(Value):
    """The lock must be waited for; if C{is_for_creation}, first for another client to create the resource."""

    is_for_creation: bool


class Granted(Value):
    """
    The lock is held.

    @ivar element: which one, for sets, sequences and timestamps.
    @ivar token: the fencing token (L{flom.core.tokens}); C{None} from a daemon of FLoM's.
    @ivar proof: L{flom.core.protocol.messages.Answer.proof}; the empty string if there is none.
    @ivar told: what is kept with the resource; C{None} if that was not wished.
    @ivar hold: the hold that was begun, or adopted; likewise.
    @ivar parts: what was granted, in the order in which it was asked for, if that is several locks; C{element},
        C{token} and C{proof} are those of the first then.
    @ivar left: seconds after which the daemon ends it; 0 if it does not. Of several locks, the fewest: all of them end
        then.
    """

    element: str | None
    token: int | None = None
    proof: str = ""
    told: Told | None = None
    hold: HoldTold | None = None
    parts: tuple[Granted, ...] = ()
    left: float = 0.0

    def proven_by(self, other: Granted) -> Granted:
        """Return the same with the proofs, and the time that is left, of C{other}, by which it was granted again."""
        both = zip(self.parts, other.parts)  # noqa: B905 (there are as many)
        parts = tuple(part.proven_by(again) for part, again in both)
        return self.replace(proof=other.proof, left=other.left, parts=parts)

    @property
    def elements(self) -> tuple[str | None, ...]:
        """The element of each lock that was granted."""
        return tuple(part.element for part in self.parts or (self,))


class PartGranted(Value):
    """One of several locks is granted, and so are all: the daemon is about to say what it has of the others."""


class Refused(Value):
    """
    The lock is not granted, see L{flom.errors.lock_refused} for the reasons; nothing is left of the request.

    @ivar why: what the daemon says besides; the empty string if it is nothing.
    @ivar part: counts the locks from 1, if several were asked for, and this one is why none is granted; 0 otherwise.
    """

    outcome: Outcome
    why: str = ""
    part: int = 0


class Converted(Value):
    """
    The lock is held in another mode; see L{flom.core.protocol.messages.ConvertAnswer} for the fields.

    @ivar number: of the request for it, L{ClientConnection.convert}: there may have been another one since.
    """

    mode: LockMode
    number: int
    token: int
    proof: str = ""


class Converting(Value):
    """The conversion of this number waits, and the lock is held as it was."""

    number: int


class NotConverted(Value):
    """
    The conversion of this number is refused, because of C{outcome}, and the lock is held as it was; see L{Refused} for
    C{why}.
    """

    number: int
    outcome: Outcome
    why: str = ""


class MoreWanted(Value):
    """The daemon waits for what had no room in the request for the lock: send L{ClientConnection.more}."""


class Pong(Value):
    """The daemon is there: it has answered L{ClientConnection.ping}."""


class StatusReceived(Value):
    """What the daemon holds, as JSON, see L{flom.status.json.from_json}."""

    data: bytes


class Lost(Value):
    """
    The connection ended while something was due from the daemon, or while a lock was held.

    @ivar was_held: true if a lock was held, or an unlock was not confirmed.
    @ivar has_answered: true if the daemon had said anything since the last request.
    """

    was_held: bool
    has_answered: bool


class Release(Value):
    """The client releases C{name}, or withdraws its request for it; C{note} is to be kept with the resource."""

    name: ResourceName
    rollback: bool
    note: Note | None = None


class Convert(Value):
    """The client changes the mode of the lock on C{name} that it holds; see L{flom.core.protocol.messages.Convert}."""

    name: ResourceName
    mode: LockMode
    wait: bool
    number: int


class Withdraw(Value):
    """The client waits for C{name} no longer, because of C{reason}, or rolls it back; it expects no answer."""

    name: ResourceName
    reason: WhyWithdrawn


class ReleaseAll(Value):
    """The client releases all locks that it has asked for at once, or withdraws that request."""

    rollback: bool


class WithdrawAll(Value):
    """The client waits no longer for several locks, because of C{reason}, or rolls them back; it expects no answer."""

    reason: WhyWithdrawn


class Incomplete(Value):
    """More of a request for a lock is to follow: send L{ServerConnection.more_wanted}, and the request comes then."""


class InvalidLock(Value):
    """The client asked for a C{name} that names nothing; answer so, then stop listening to it."""

    name: str


Event = (
    Introduced
    | Waiting
    | MoreWanted
    | Granted
    | PartGranted
    | Refused
    | Converted
    | Converting
    | NotConverted
    | Unlocked
    | Contested
    | Revoked
    | Wanted
    | Pong
    | ManagementRefused
    | HandedOver
    | RevokeAnswer
    | HoldAnswer
    | StatusReceived
)
"""What L{flom.core.protocol.connection.ClientConnection} receives."""

Order = (
    LockRequest
    | SetRequest
    | Incomplete
    | Release
    | ReleaseAll
    | Convert
    | Withdraw
    | WithdrawAll
    | InvalidLock
    | Ping
    | Shutdown
    | StatusRequest
    | Revoke
    | HoldOrder
    | Challenge
    | Offer
)
"""What L{flom.core.protocol.connection.ServerConnection} receives, once the client is L{Introduced}."""
