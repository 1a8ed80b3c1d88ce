"""
What a daemon makes of proofs (L{flom.core.proofs}): it gives one with every grant to a client of ours, and a client
that reclaims a lock has to repeat it (docs/explanation/guarantees.md, "Who may reclaim").

That cannot be asked for where the daemon before this one may have had another key, or none, such as one of an older
version or of another user. A reclaim is believed there, if it is the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from flom.core.cache import Cache
from flom.core.proofs import ProofKey, Prover
from flom.core.requests import LockRequest
from flom.net.holders import new_start
from flom.server.log_throttle import LogThrottle
from flom.server.state import StateDirectory, StateError
from flom.text import one_line, truncate

if TYPE_CHECKING:
    from flom.core.group.addresses import Group

_KEPT: Final = 100  # provers of clients without a session: over UNIX sockets, one for each user

_log = Logger()


class Proofs:
    """
    The proofs of one daemon.

    @ivar are_required: whether what has no proof is refused: the daemon before this one has had the same key.
    @ivar problem: why there is no key; the empty string if there is one, or is not meant to be.
    """

    def __init__(self, key: ProofKey | None = None, *, is_new: bool = False, problem: str = "") -> None:
        """
        @param key: C{None} for no proofs.
        @param is_new: whether no other daemon can have had it.
        """
        self._key = key
        self._provers: Cache[str, Prover] = Cache(lambda who: self._prover(who, ""), _KEPT)
        self.are_required = key is not None and not is_new
        self.problem = problem

    def note_predecessor(self, *, has_key: bool) -> None:
        """Note whether the daemon before this one, whose locks are reclaimed from now on, has had the same key."""
        self.are_required = self._key is not None and has_key

    def prover(self, who: str, session: str) -> Prover:
        """Return what proves grants to a client, see L{ProofKey.prover}; nothing is proven without a key."""
        return self._prover(who, session) if session else self._provers[who]

    def _prover(self, who: str, session: str) -> Prover:
        return Prover() if self._key is None else self._key.prover(who, session)

    def new_start(self) -> str:
        """Return what names a start of this daemon, by which others with its key know it."""
        return new_start() if self._key is None else self._key.sign_start(new_start())

    def has_signed(self, start: str) -> bool:
        """Return whether a daemon with the same key has had this C{start}."""
        return self._key is not None and self._key.has_signed(start)

    def may_reclaim(
        self, request: LockRequest, who: str, peer: str, throttle: LogThrottle, *, is_in_grace: bool
    ) -> bool:
        """
        Return whether to believe that the client has held what C{request} reclaims; what is unproven is logged, and
        believed in a grace period only.

        @param who: the client, as in L{prover}.
        @param peer: names it in the log.
        """
        if self.prover(who, request.secret).has_proven(request):
            return True
        is_believed = not self.are_required and is_in_grace
        about = {"resource": truncate(one_line(request.name.text)), "mode": request.mode.name, "peer": peer}
        if is_believed:
            if throttle.allows("unproven reclaims"):
                _log.info("{resource} ({mode}) is reclaimed by {peer}, unproven", **about)
        elif throttle.allows("reclaims without a proof"):
            text = "{resource} ({mode}) is not reclaimed by {peer}, which has {what} of its grant"
            _log.warn(text, what="a wrong proof" if request.proof else "no proof", **about)
        return is_believed


def proofs_of_directory(state: StateDirectory, place: str) -> Proofs:
    """
    Return the proofs of a daemon that remembers things in C{state}: with the key there, which is made if need be.

    If that is not possible, one line of the log says so, and there are none.

    @param place: tells the daemon from the others that share the directory: where it listens.
    @raise StateError: what is there is no key.
    """
    key = state.read_key()
    if key is not None:
        return Proofs(ProofKey(key, place))
    try:
        return Proofs(ProofKey(state.make_key(), place), is_new=True)
    except StateError as e:
        _log.warn("{problem}: no grant has a proof", problem=str(e))
        return Proofs(problem=str(e))


def proofs_of_group(group: Group) -> Proofs:
    """Return the proofs of a daemon of C{group}: with the key of the group, if that has one."""
    from ipaddress import ip_address  # the others need not wait for its import

    if group.key is None:
        return Proofs()
    place = f"{ip_address(group.address)} {group.port}"  # hosts may spell it differently
    return Proofs(ProofKey(group.key.secret, place))
