"""
The epochs of leaders by a quorum, for their fencing tokens, and the history of etcd that they come from.

An epoch is the revision in which the key of the leadership was created, plus an offset that is kept in etcd. Revisions
grow within one history of etcd. After a restore from a backup there is another history, whose revisions are lower, in
what looks like the same cluster: L{History} notices.
"""

from __future__ import annotations

from flom.core.tokens import MAX_CLAIMED
from flom.errors import ConfigError, HistoryWentBack


def first_offset(revision: int, known: int) -> int:
    """
    Return the least offset by which each key that is created after C{revision} has an epoch above C{known}.

    @return: perhaps less than 0: an etcd that others use too may have a revision of billions.
    """
    return known - revision


class History:
    """
    What was seen of etcd's history.

    Answers may come in another order than that in which etcd has made them. So note L{revision}, or L{epoch}, before
    each call; its answer cannot be lower than that. Of answers, note only those that are linearizable: to transactions,
    and to ranges that are not serializable.

    @ivar revision: the highest that was seen; 0 before the first one.
    @ivar epoch: the highest that was seen, of any leader; -1 before the first one.
    """

    __slots__ = ("epoch", "revision")

    def __init__(self, epoch: int = -1, revision: int = 0) -> None:
        """@param epoch: the highest that is known from elsewhere: state directory, sessions, tokens of clients."""
        self.epoch = epoch
        self.revision = revision

    def note(self, revision: int, floor: int) -> None:
        """
        Note that an answer has C{revision} in its header.

        @param floor: L{revision} when the call was sent.
        @raise HistoryWentBack: it is lower than C{floor}.
        """
        if revision < floor:
            raise HistoryWentBack(f"etcd has gone back from revision {floor} to {revision}")
        self.revision = max(self.revision, revision)

    def note_epoch(self, epoch: int, floor: int) -> None:
        """
        Note that a daemon leads in C{epoch}: the key says so, or a client that was granted something in it.

        @param floor: L{epoch} when the key was asked for; what a client says is old perhaps: -1.
        @raise HistoryWentBack: it is lower than C{floor}.
        """
        if epoch < floor:
            raise HistoryWentBack(f"the epoch in etcd has gone back from {floor} to {epoch}")
        self.epoch = max(self.epoch, epoch)

    def begin(self, create_revision: int, offset: int, floor: int) -> int:
        """
        Return the epoch of this daemon, which has won the leadership.

        @param create_revision: of the key that it has put.
        @param floor: L{epoch} when the transaction was sent that has won.
        @raise HistoryWentBack: it would be an epoch at or below C{floor}.
        @raise ConfigError: there are no tokens left for this epoch.
        """
        epoch = create_revision + offset
        if epoch <= floor:
            raise HistoryWentBack(f"the epoch in etcd has gone back: it would be {epoch}, after {floor}")
        if epoch > MAX_CLAIMED:
            raise ConfigError(f"epoch {epoch} of etcd is too high: there are no fencing tokens above {MAX_CLAIMED}")
        self.epoch = max(self.epoch, epoch)
        return epoch
