"""A daemon's part in its group under a quorum: clients find the leader by multicast, and etcd decides who that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flom.core.protocol.messages import Offer, Role, Standing
from flom.server.group.service import MembershipService
from flom.server.quorum.service import QuorumService


class AppointedMembership(MembershipService):
    """Has the group know who leads, which L{QuorumService} says."""

    is_appointed = True

    def __init__(self, quorum: QuorumService, *arguments: Any) -> None:
        """Make one as L{MembershipService} is made."""
        self._quorum = quorum
        quorum.waits_for_group = True
        quorum.observer = self
        super().__init__(*arguments)

    def leads(self, leads: bool) -> None:
        """See L{flom.server.quorum.service.Observer.leads}."""
        if self._member is not None and not self._is_finished:
            self._member.appoint(leads)

    def _note_seated(self) -> None:
        self._quorum.waits_for_group = False
        self._quorum.stand()

    def was_asked(self, *, is_orphan: bool, holder: int) -> None:
        """Count the question; who may still reclaim is decided by the quorum's times alone."""
        self._counters.discoveries += 1

    def heard_epoch(self, epoch: int) -> None:
        self._quorum.note_epoch(epoch)

    def prevailed(self) -> None:
        """Go on in the epoch that the quorum gave."""

    def is_deaf(self, why: str) -> None:
        self._log.error("{why}", why=why)

    @property
    def is_promised(self) -> bool:
        return False

    def hand_over(self, tell: Callable[[str, str], None]) -> None:
        self._quorum.hand_over(tell)

    def answer_offer(
        self, offer: Offer, send: Callable[[bytes], None], hang_up: Callable[[], None]
    ) -> Callable[[bytes], None]:
        """Refuse: the quorum decides who leads."""
        hang_up()
        return lambda data: None

    def role_changed(self, role: Role, leader: Standing | None) -> None:
        self._show_role(role)

    def _show_role(self, role: Role) -> None:
        self._membership.on_role(role)
