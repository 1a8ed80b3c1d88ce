"""A network of our own: hosts that a switch joins, cables that are pulled, datagrams that get lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.exclusion import Marks
from tests.fakes.netns import Host
from tests.fakes.programs import PATIENCE, Programs, Running, command_line_of, eventually, name_of

GROUP: Final = "ff02::1"
PORT: Final = 28015
BRIDGE_ADDRESS: Final = "172.17.0.1"

_LED_BY: Final = re.compile(r" is led by .* \((?P<host>\S+), node (?P<node>\w+)\)$", re.MULTILINE)


class LanHost(Host):
    """
    A host whose programs C{programs} knows.

    Its name is also that of the machine, as its programs see it.

    @ivar marks: to which commands under locks tell what they hold.
    """

    def __init__(self, name: str, programs: Programs, folder: Path, marks: Marks) -> None:
        """
        @param folder: for the logs of daemons.
        """
        super().__init__(name)
        self.members: list[Member] = []
        self.marks = marks
        self._programs = programs
        self._folder = folder

    def words(self, *command: str) -> list[str]:
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.name]
        return super().words(*named, *command)

    def start(self, *command: str, **options: Any) -> Running:
        """Start any program, see L{Programs.start_program}."""
        return self._programs.start_program(*self.words(*command), **options)

    def start_flom(self, *words: str, **options: Any) -> Running:
        """Start C{flom-run}."""
        return self.start(FLOM_RUN, *words, **options)

    def flom(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run C{flom-run} to its end."""
        return self.start_flom(*words).finish()

    def start_job(
        self, *options: str, seconds: float | None = None, marks: Marks | None = None, **more: Any
    ) -> Running:
        """
        Start C{flom-run} with a command that marks what it holds, and says C{held} when it does.

        @param seconds: how long that takes; by default, until it gets a line or its stdin is closed.
        @param marks: instead of those of this host.
        """
        return self.start_flom(*(marks or self.marks).job(*options, seconds=seconds), **more)

    def run_job(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run C{flom-run} to its end, with such a command, which ends at once."""
        return self.start_job(*options, seconds=0).finish()

    def hold(self, resource: str, *words: str, group: str = GROUP, marks: Marks | None = None) -> Running:
        """Run such a command in a group, and wait until it holds C{resource}."""
        holder = self.start_job(*in_group(group, "-r", resource, *words), marks=marks)
        eventually(lambda: holder.line() == "held", "held")  # -V says more
        return holder

    def wait_for(self, resource: str, leader: Member) -> Running:
        """Run a C{flom-run} that waits for C{resource}, which is held; return it when it waits at C{leader}."""
        waiter = self.start_job("-V", *in_group(GROUP, "-r", resource), seconds=0)
        eventually(lambda: self.has_heard(waiter, leader), f"{self.name} waiting at {leader.host.name}")
        return waiter

    def ask(self, *words: str, group: str = GROUP) -> tuple[str, str]:
        """Ask who leads C{group}, by taking a lock there: give the name of the host, and the node."""
        asked = self.flom("-V", *in_group(group, "-r", "asked", *words), "--", "true")
        assert asked.returncode == 0, asked
        return leaders_in(asked.stdout)[-1]

    def join_group(self, *options: str, group: str = GROUP, environment: Mapping[str, str] | None = None) -> Member:
        """Start a daemon of C{group}, which takes part in its election."""
        return self.start_daemon("--group", group, *options, environment=environment)

    def start_daemon(self, *options: str, environment: Mapping[str, str] | None = None) -> Member:
        """
        Start a daemon, of a group or not; C{environment} is added to ours.

        If it is of none, it has a state directory, or else it would wait for holders that it cannot know of.
        """
        log = self._folder / f"{self.name}-{len(self.members)}.log"
        if not {"--group", "--state"} & set(options):
            options = (*options, "--state", str(log.with_suffix(".state")))
        member = Member(self, log, *options, environment=environment)
        self.members.append(member)
        return member

    def add_bridge(self, name: str = "docker0") -> None:
        """Add a bridge that leads to no other host, but is up; every host's has the same address, as Docker's has."""
        self.ip("link", "add", name, "type", "bridge", "mcast_snooping", "0")
        self.ip("link", "add", f"{name}-in", "type", "veth", "peer", "name", f"{name}-out")
        for end in (f"{name}-in", f"{name}-out", name):
            self.ip("link", "set", end, "up")
        self.ip("link", "set", f"{name}-in", "master", name)
        self.ip("addr", "add", f"{BRIDGE_ADDRESS}/16", "dev", name)

    def deafen(self, interface: str = "eth0") -> None:
        """Drop the datagrams to the port of groups that come in by C{interface}."""
        script = f"""
            add table inet ears
            add chain inet ears input {{ type filter hook input priority 0; }}
            add rule inet ears input iifname {interface} udp dport {PORT} drop
        """
        self.run("nft", script, check=True)

    def ipv4(self, name: str = "eth0") -> str:
        """Return the IPv4 address of an interface."""
        [address] = [info["local"] for info in self.interface(name)["addr_info"] if info["family"] == "inet"]
        return str(address)

    def kill_all(self) -> None:
        """Kill all of its processes."""
        while pids := self.pids():  # again, because they may be starting others
            for pid in pids:
                self.marks.note_death(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def has_heard(self, client: Running, leader: Member) -> bool:
        """Return whether C{leader}, on another host, has answered C{client}, which is in the queue then."""
        listed = self.run("ss", "-OtinpH", "state", "established", "dport", "=", f":{leader.port}")
        return re.search(rf"pid={client.pid},.* bytes_received:", listed.stdout) is not None


class Member:
    """
    C{twistd -n flom} on a host, most often with C{--group}.

    @ivar pid: its process id.
    """

    def __init__(self, host: LanHost, log: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.host = host
        self._log = log
        with log.open("w") as file:
            self._running = host.start(
                str(BIN / "twistd"), "-n", "--pidfile=", "flom", *options, stdout=file, environment=environment
            )
        self.pid = self._running.pid

    @property
    def log(self) -> str:
        """What it has logged up to now."""
        return self._log.read_text()

    @property
    def port(self) -> int:
        """Where it listens for TCP connections."""
        listening = re.search(r"FLM001I listening on .*:(\d+)$", self.log, re.MULTILINE)
        assert listening, self.log
        return int(listening[1])

    def address_for(self, client: Host) -> tuple[str, int, int, int]:
        """Return its TCP address as sockets on another host want it."""
        return (self.host.link_local(), self.port, 0, client.interface()["ifindex"])

    @property
    def leads(self) -> bool:
        """Whether it leads its group, as far as it knows."""
        return name_of(self.pid) == "flom" and self._last_role() == "leading"

    @property
    def stands_by(self) -> bool:
        """Whether it stands by for another one."""
        return name_of(self.pid) == "flom-standby" and self._last_role() in ("standing by", "yields")

    def await_log(self, text: str, patience: float = PATIENCE) -> str:
        """Wait for a line with C{text}, and give the last one."""
        eventually(lambda: text in self.log, f"{text!r} in the log of {self.host.name}", patience)
        return [line for line in self.log.splitlines() if text in line][-1]

    def signal(self, number: int) -> None:
        self._running.signal(number)

    def wait(self) -> int:
        """Wait for its end; give its status, below 0 if a signal killed it."""
        return self._running.wait()

    def stop(self) -> int:
        """End it in good order; give its exit status."""
        self.signal(signal.SIGTERM)
        return self._running.wait()

    def _last_role(self) -> str:
        """Return the role that it has logged last."""
        roles = re.findall(r"\b(leading|standing by|yields)\b", self.log)
        return roles[-1] if roles else ""


class Lan:
    """
    Hosts joined by a switch; as a context manager, all of it is gone outside.

    @ivar hosts: as many as were added.
    @ivar marks: of all commands under locks here.
    @ivar switch: what joins them.
    """

    def __init__(self, name: str, subnet: str, programs: Programs, folder: Path, marks: Marks) -> None:
        """
        @param name: sets it apart from others of this process.
        @param subnet: the first three of the four numbers of all IPv4 addresses here.
        @param folder: for the logs of daemons.
        """
        self.hosts: list[LanHost] = []
        self.marks = marks
        self._name = name
        self._subnet = subnet
        self._programs = programs
        self._folder = folder
        self._stack = ExitStack()
        self.switch = Host(f"{name}-switch-")
        self._ports: dict[str, str] = {}  # of the switch, by the names of the hosts that they lead to

    def __enter__(self) -> Lan:
        self._stack.enter_context(self.switch)
        # it floods multicast; to learn which hosts want it would take a querier
        self.switch.ip("link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
        self.switch.ip("link", "set", "switch", "up")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stack.close()

    def add_host(self) -> LanHost:
        """Add a host, joined to this network by C{eth0}."""
        host = LanHost(f"{self._name}-{len(self.hosts) + 1}-", self._programs, self._folder, self.marks)
        self._stack.enter_context(host)
        self.hosts.append(host)
        self.plug(host, "eth0")
        return host

    def add_hosts(self, number: int) -> list[LanHost]:
        """Add some hosts."""
        return [self.add_host() for _ in range(number)]

    def plug(self, host: Host, interface: str, index: int = 0) -> None:
        """
        Join C{host} to this network by a new interface, with a link-local IPv6 address and an IPv4 one.

        @param index: of the interface; 0 for one that the kernel chooses.
        """
        number = len(self._ports) + 1
        port = self._ports[host.name] = f"port{number}"
        numbered = ["index", str(index)] if index else []
        host.ip("link", "add", interface, *numbered, "type", "veth", "peer", "name", port, "netns", self.switch.name)
        self.switch.ip("link", "set", port, "master", "switch", "up")
        host.ip("link", "set", interface, "up")
        host.ip("addr", "add", f"{self._subnet}.{number}/24", "dev", interface)

    def pull(self, host: Host) -> None:
        """Pull the cable of C{host}; it notices."""
        self.switch.ip("link", "set", self._ports[host.name], "down")

    def put_back(self, host: Host) -> None:
        """Put the cable of C{host} back."""
        self.switch.ip("link", "set", self._ports[host.name], "up")

    def cut_off(self, host: Host) -> None:
        """Cut C{host} off in both directions; it does not notice."""
        self._set_state(host, 0)  # disabled

    def let_through(self, host: Host) -> None:
        """Undo L{cut_off}."""
        self._set_state(host, 3)  # forwarding

    def crash(self, host: LanHost) -> None:
        """Switch C{host} off: nothing comes from it any more, not even that its connections are closed."""
        self.pull(host)
        host.kill_all()

    def lose_datagrams(self, percent: int) -> None:
        """Drop some of the datagrams that each host receives, even its own."""
        for host in self.hosts:
            script = f"""
                add table inet loss
                add chain inet loss input {{ type filter hook input priority 0; }}
                add rule inet loss input meta l4proto udp numgen random mod 100 < {percent} drop
            """
            host.run("nft", script, check=True)

    def kill_all(self) -> None:
        """Kill all processes on all hosts."""
        for host in self.hosts:
            host.kill_all()

    def processes(self) -> dict[int, str]:
        """Return the processes on all hosts, with their command lines."""
        return {pid: command_line_of(pid) for host in self.hosts for pid in host.pids()}

    def logs(self) -> str:
        """Return the logs of all members of groups, as far as they can be read by a human."""
        return "\n".join(f"{host.name}:\n{member.log[:10_000]}" for host in self.hosts for member in host.members)

    def _set_state(self, host: Host, number: int) -> None:
        """Set the state of the switch's port that leads to C{host}, by a number of the spanning tree protocol."""
        words = ["link", "set", "dev", self._ports[host.name], "state", str(number)]
        subprocess.run(["bridge", "-n", self.switch.name, *words], check=True)


def in_group(group: str, *words: str) -> list[str]:
    """Return the words by which C{flom-run} uses the daemon of C{group}, and starts none."""
    return ["-A", group, "-d", "0", *words]


def leaders_in(said: str) -> list[tuple[str, str]]:
    """Return host and node of every leader, in order, that C{flom-run -V} has found."""
    return [(found["host"], found["node"]) for found in _LED_BY.finditer(said)]


def await_leader(members: list[Member], patience: float = PATIENCE) -> Member:
    """Wait, some seconds at most, until one of C{members} leads and the others stand by; give it."""

    def roles() -> list[str]:
        return sorted("leads" if member.leads else "stands by" if member.stands_by else "?" for member in members)

    settled = ["leads"] + ["stands by"] * (len(members) - 1)
    eventually(lambda: roles() == settled, "one leader", patience, interval=0.01 if patience <= PATIENCE else 0.2)
    [leader] = [member for member in members if member.leads]
    return leader
