"""What the model of a quorum goes by; a test changes one of the rules to see that it is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import DEFAULT, QuorumTimes

ELECTION: Final = 1.0
"""Seconds of etcd's election timeout."""


@dataclass(frozen=True)
class Rules:
    """
    What daemons, clients and etcd do. All that is a bool is true, unless it is seen what happens without it. Of two, no
    world was found in which they alone matter: C{wins_when_known} and C{hears_reclaims_in_time}.

    @ivar times: of daemons and clients.
    @ivar tenure: the class of tenures.
    @ivar lag: true seconds by which the end of a command may be late, because its host is busy. With the slowest and
        the fastest clock, there is no more room.
    @ivar slowest: seconds that the slowest clock counts in one; C{fastest} likewise.
    @ivar keeps_from_sent: a leader counts its lease from when it has sent a keepalive, not from its answer.
    @ivar wins_when_known: it counts its wait from when it knew that it leads, not from when it has asked.
    @ivar checks_grants: it asks its tenure before each grant; C{checks_answers}: before each answer.
    @ivar checks_word: it leaves word only if it knows all that is held.
    @ivar consumes_word: the transaction that wins deletes the word.
    @ivar doubts_old_words: it believes no word that was left long ago.
    @ivar doubts_word: a daemon that has won by a doubtful transaction believes no word.
    @ivar resigns_first: a leader grants nothing more when the transaction is sent that gives the leadership up.
    @ivar has_own_values: each attempt to win has a value of its own.
    @ivar reads_keepalives: an answer to a keepalive without a TTL says that the lease has gone.
    @ivar watches_history: a daemon stops if etcd's history has gone back.
    @ivar clears_table: a daemon forgets sessions and locks of its last tenure.
    @ivar starts_waits: a new leader waits if it was left no word.
    @ivar keeps_from_asked: a client counts its patience from when it has sent a message, not from its answer.
    @ivar checks_late_grants: a client asks whether it still holds what was granted when its patience was over.
    @ivar reclaims_in_time: it reclaims nothing after its patience is over.
    @ivar hears_reclaims_in_time: it does not take a reclaim for granted if the answer comes after that.
    @ivar kills_in_time: its command is killed so long after it was lost, not after that was noticed.
    @ivar revokes_doubtful: a daemon tries again only when the lease is gone by which it may win all the same.
    @ivar numbers_leases: etcd chooses the number of each lease, so a request for one that is repeated makes another.
    @ivar extends_leases: etcd adds an election timeout to all leases when its leader changes.
    @ivar ends_leases_late: etcd ends no lease early.
    @ivar restore_takes: seconds for which etcd is down at least when it is restored from a backup.
    """

    times: QuorumTimes = field(default=DEFAULT)
    tenure: type[Tenure] = Tenure
    lag: float = 0.1
    slowest: float = 0.9
    fastest: float = 1.1
    keeps_from_sent: bool = True
    wins_when_known: bool = True
    checks_grants: bool = True
    checks_answers: bool = True
    checks_word: bool = True
    consumes_word: bool = True
    doubts_old_words: bool = True
    doubts_word: bool = True
    resigns_first: bool = True
    has_own_values: bool = True
    reads_keepalives: bool = True
    watches_history: bool = True
    clears_table: bool = True
    starts_waits: bool = True
    keeps_from_asked: bool = True
    checks_late_grants: bool = True
    reclaims_in_time: bool = True
    hears_reclaims_in_time: bool = True
    kills_in_time: bool = True
    revokes_doubtful: bool = True
    numbers_leases: bool = True
    extends_leases: bool = True
    ends_leases_late: bool = True
    restore_takes: float = 2.0


RULES: Final = Rules()


class Wrong(AssertionError):
    """Something happened that must not."""
