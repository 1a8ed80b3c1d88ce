"""Three daemons, three clients, etcd, and all that can go wrong: L{World}."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from tests.scenarios.model.quorum.client import Client
from tests.scenarios.model.quorum.daemon import Daemon
from tests.scenarios.model.quorum.etcd import NAME, Etcd, Key
from tests.scenarios.model.quorum.hosts import Host, Timeline
from tests.scenarios.model.quorum.rules import RULES, Rules, Wrong

HEALING: Final = 60.0
"""Seconds in which each client has run a command when nothing goes wrong any more."""


DEEDS: Final = [
    *("cut", "isolate", "freeze", "kill", "resign", "break", "etcd_down", "etcd_leader", "part"),
    *("cut_leader", "cut_leader", "freeze_leader"),
]
"""What goes wrong in most worlds."""


class Focus(NamedTuple):
    """
    What goes wrong in a world, if that is not left to chance.

    @ivar deeds: names of what is done, see L{DEEDS}; none for what chance says.
    @ivar pause: mean seconds from one to the next; C{delays}: see L{Timeline}; C{faults}: see L{Etcd}; C{longest_run}:
        of commands in seconds; 0.0 for what chance says. C{delayed}: see L{Timeline}.
    """

    deeds: tuple[str, ...] = ()
    pause: float = 0.0
    delays: float = 0.0
    faults: float = 0.0
    longest_run: float = 0.0
    delayed: float = 0.03


ALL: Final = Focus()


class World:
    """
    All of it.

    @ivar disks: of each daemon's host the highest epoch that its daemons have known.
    @ivar highest_epoch: that was begun.
    @ivar did: how often what was done.
    """

    def __init__(self, seed: int, rules: Rules = RULES, focus: Focus = ALL) -> None:
        self.random = random = Random(seed)
        self.rules = rules
        self.timeline = timeline = Timeline(random)
        self.did: Counter[str] = Counter()
        self.highest_epoch = -1
        self._last_token = 0
        self.etcd = Etcd(timeline, rules, self._check_win, self._check_end)
        rates = [rules.slowest, rules.fastest, 1.0]
        self.hosts = [Host(timeline, f"h{number}", random.choice(rates)) for number in range(3)]
        others = [Host(timeline, f"c{number}", random.choice(rates)) for number in (1, 2)]
        self._all_hosts = [*self.hosts, *others]
        self.disks = {host.name: -1 for host in self.hosts}
        self.daemons: dict[str, Daemon] = {}
        self.clients = [Client(self, host) for host in (self.hosts[0], *others)]
        self._has_disks = random.random() < 0.7
        self._is_healing = False
        self._needs_operator = False
        for host in self.hosts:
            self._start(host)
        for client in self.clients:
            self._want(client)
        # each world has its own ways: where all happens all the time, what takes several steps never does
        names = list(focus.deeds) or [name for name in DEEDS for _ in range(random.choice([0, 1, 1, 3]))] or DEEDS
        if not focus.deeds and random.random() < 0.3:
            names += ["back_up", "restore"]
        self._deeds: list[Callable[[], None]] = [getattr(self, f"_{name}") for name in names]
        self._pause = focus.pause or random.choice([0.5, 1.0, 2.0, 4.0, 8.0])
        timeline.delays = focus.delays or random.choice([0.0, 0.5, 2.0, 4.0])
        timeline.delayed = focus.delayed
        self.etcd.faults = focus.faults or random.choice([0.0, 0.01, 0.1])
        self._longest_run = focus.longest_run or random.choice([1.0, 6.0, 40.0])

    def play(self, seconds: float) -> None:
        """
        Play so many seconds of faults, and then a minute without any.

        @raise Wrong: two commands ran at one time, tokens did not grow, a daemon led too long, or nothing goes on.
        """
        self._trouble()
        self.timeline.play(seconds)
        self._heal()
        before = [client.ran for client in self.clients]
        self.timeline.play(seconds + HEALING)
        for client, ran in zip(self.clients, before, strict=True):
            if client.ran == ran:
                raise self._wrong(f"{client.host.name} runs no command after all is well, and is {client.state}")

    # what the others ask

    def choose_daemon(self) -> Daemon | None:
        """Return the daemon that a client connects to next; C{None} if none is there."""
        daemons = list(self.daemons.values())
        leaders = [daemon for daemon in daemons if daemon.state == "leader"]
        if leaders and self.random.random() < 0.8:
            return self.random.choice(leaders)
        return self.random.choice(daemons) if daemons else None

    def duration(self) -> float:
        """Return for how many seconds a command runs."""
        return 0.05 + self.random.random() ** 2 * (1.0 if self._is_healing else self._longest_run)

    def note_run(self, client: Client) -> None:
        """Note that a command of C{client} starts."""
        self.did["commands"] += 1
        self.timeline.say(f"{client.host.name} runs by {client.token >> 32}.{client.token & 0xFFFFFFFF}")
        self._check(client)

    def note_end(self, client: Client) -> None:
        self.timeline.say(f"{client.host.name} has ended, was {client.state}")

    def note_grant(self, by: str, token: int, *, is_ignorant: bool) -> None:
        """
        Note that a daemon grants the lock with C{token}.

        @param is_ignorant: whether it cannot know the epochs that there were before etcd was restored.
        """
        self.did["grants"] += 1
        self.timeline.say(f"{by} grants {token >> 32}.{token & 0xFFFFFFFF}")
        if token <= self._last_token and not is_ignorant:
            raise self._wrong(f"token {token:x} after {self._last_token:x}")
        self._last_token = max(token, self._last_token)

    def need_operator(self) -> None:
        """Note that the epoch has to be raised."""
        if not self._needs_operator:
            self._needs_operator = True
            self.did["went back"] += 1
            self.timeline.at(self.timeline.now + 3 + 20 * self.random.random(), None, self._raise)

    def _raise(self) -> None:
        if self.etcd.is_down:
            self.timeline.at(self.timeline.now + 2, None, self._raise)
            return
        self._needs_operator = False
        self.etcd.raise_epoch(max(self.disks.values()))
        for daemon in self.daemons.values():
            daemon.resume()

    # what is checked

    def _check(self, client: Client) -> None:
        for other in self.clients:
            if other is not client and other.is_running and not other.host.is_frozen:
                raise self._wrong(f"{client.host.name} and {other.host.name} have the lock")

    def _check_win(self, key: Key) -> None:
        if self.did["restores"]:  # the backup may be from before a daemon has won that still leads
            return
        for daemon in self.daemons.values():
            tenure = daemon.tenure
            if tenure is not None and daemon.value != key.value and tenure.may_answer(daemon.host.now):
                raise self._wrong(f"{daemon.host.name} leads, and another one has won")

    def _check_end(self, key: Key) -> None:
        for daemon in self.daemons.values():
            tenure = daemon.tenure
            if tenure is not None and daemon.value == key.value and tenure.may_answer(daemon.host.now):
                raise self._wrong(f"{daemon.host.name} leads, and its lease has ended")

    def _wrong(self, why: str) -> Wrong:
        return Wrong("\n".join([f"{why}, at {self.timeline.now:.3f}", *self.timeline.script[-60:]]))

    # what happens

    def _want(self, client: Client) -> None:
        if not client.host.is_frozen:
            client.want()
        pause = self.random.random() * (0.5 if self._is_healing else 3.0)
        self.timeline.at(self.timeline.now + pause, None, self._want, client)

    def _start(self, host: Host) -> None:
        if host.name not in self.daemons:
            self.daemons[host.name] = Daemon(self, host, self.disks[host.name] if self._has_disks else -1)

    def _trouble(self) -> None:
        if not self._is_healing:
            self.random.choice(self._deeds)()
            self.timeline.at(self.timeline.now + self.random.expovariate(1 / self._pause), None, self._trouble)

    def _some_time(self) -> float:
        """Return a time after which something is over: often as long as what matters here."""
        random = self.random
        return random.choice([random.random(), 4 * random.random(), 10 * random.random(), 10 * random.random(), 60.0])

    def _cut(self) -> None:
        """Cut one host off from another, or from etcd, in one direction or both."""
        one, other = self.random.sample([*(host.name for host in self._all_hosts), NAME], 2)
        ways = self.random.choice([[(one, other)], [(one, other), (other, one)]])
        self._cut_ways(set(ways))

    def _isolate(self) -> None:
        """Cut a host off from all others, or from all but etcd."""
        name = self.random.choice(self._all_hosts).name
        others = [host.name for host in self._all_hosts] + self.random.choice([[NAME], []])
        out, back = {(name, other) for other in others}, {(other, name) for other in others}
        self._cut_ways(self.random.choice([out | back, out | back, out, back]))

    def _cut_leader(self) -> None:
        """Cut a leader off from etcd, from clients, or from all."""
        leaders = self._leaders()
        if leaders:
            name = self.random.choice(leaders).host.name
            others = self.random.choice(
                [
                    [NAME],
                    [NAME],
                    [client.host.name for client in self.clients],
                    [*(host.name for host in self._all_hosts), NAME],
                ]
            )
            out, back = {(name, other) for other in others}, {(other, name) for other in others}
            self._cut_ways(self.random.choice([out | back, out, back]))

    def _part(self) -> None:
        """Part the network; etcd's leader is in the minority, with some hosts."""
        minority = {host.name for host in self._all_hosts if self.random.random() < 0.4}
        if not self.etcd.is_down and minority:
            self.did["parts"] += 1
            majority = {host.name for host in self._all_hosts} - minority | {NAME}
            self.etcd.lose_leader(minority)
            self._cut_ways({ends for one in minority for other in majority for ends in ((one, other), (other, one))})

    def _freeze_leader(self) -> None:
        leaders = self._leaders()
        if leaders:
            self._freeze_host(self.random.choice(leaders).host)

    def _leaders(self) -> list[Daemon]:
        return [daemon for daemon in self.daemons.values() if daemon.state == "leader"]

    def _cut_ways(self, ways: set[tuple[str, str]]) -> None:
        self.did["cuts"] += 1
        self.timeline.say(f"cut {sorted(ways)}")
        self.timeline.cuts |= ways
        self.timeline.at(self.timeline.now + self._some_time(), None, self._join, ways)

    def _join(self, ways: set[tuple[str, str]]) -> None:
        self.timeline.say(f"joined {sorted(ways)}")
        self.timeline.cuts -= ways

    def _freeze(self) -> None:
        self._freeze_host(self.random.choice(self._all_hosts))

    def _freeze_host(self, host: Host) -> None:
        if not host.is_frozen:
            self.did["freezes"] += 1
            self.timeline.say(f"{host.name} is frozen")
            host.is_frozen = True
            self.timeline.at(self.timeline.now + self._some_time(), None, self._thaw, host)

    def _thaw(self, host: Host) -> None:
        if host.is_frozen:
            self.timeline.say(f"{host.name} thaws")
            clients = [client for client in self.clients if client.host is host]
            host.is_frozen = False
            if self.random.random() < 0.5:
                for client in clients:
                    client.thaw()
            host.thaw()
            for client in clients:
                client.thaw()
                if client.is_running:
                    self._check(client)

    def _kill(self) -> None:
        host = self.random.choice(self.hosts)
        daemon = self.daemons.get(host.name)
        if daemon is not None and not host.is_frozen:
            self.did["kills"] += 1
            self.timeline.say(f"{host.name} is killed")
            if self.random.random() < 0.5:  # its host goes on, and says so
                for client in self.clients:
                    client.note_death(daemon)
            daemon.die()
            del self.daemons[host.name]
            self.timeline.at(self.timeline.now + self._some_time() * self.random.random(), None, self._start, host)

    def _resign(self) -> None:
        for daemon in list(self.daemons.values()):
            if not daemon.host.is_frozen:
                daemon.resign()

    def _etcd_down(self) -> None:
        self.did["etcd down"] += 1
        self.etcd.go_down(self._some_time() / 3)

    def _etcd_leader(self) -> None:
        self.did["etcd leaders"] += 1
        self.etcd.lose_leader({host.name for host in self.hosts if self.random.random() < 0.5})

    def _back_up(self) -> None:
        self.random.choice([self.etcd.back_up, self.etcd.back_up_gap, lambda: None])()

    def _restore(self) -> None:
        if self.random.random() < 0.5:
            self.did["restores"] += self.etcd.restore()
            if self.random.random() < 0.5:  # the leader is cut off, and the other daemons are started anew
                self._cut_leader()
                for name, daemon in list(self.daemons.items()):
                    if daemon.state != "leader" and not daemon.host.is_frozen:
                        daemon.die()
                        del self.daemons[name]
                        self._start(daemon.host)

    def _break(self) -> None:
        """Break a connection; one end notices, or both."""
        client = self.random.choice(self.clients)
        if not client.host.is_frozen:
            client.break_link()

    def _heal(self) -> None:
        self._is_healing = True
        self.timeline.say("all is well")
        self.timeline.cuts.clear()
        self.timeline.delays = self.etcd.faults = 0.0
        for host in self._all_hosts:
            self._thaw(host)
        for host in self.hosts:
            self._start(host)
