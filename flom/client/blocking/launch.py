"""
Starting a daemon: its address, its options, and whether it has started
(docs/compatibility.md, "Who starts a daemon", "Start of a daemon").

The program that starts a daemon listens on the address itself and passes the socket on. So of many starters one wins,
at once; the others can connect from then on, and wait in the kernel until the daemon serves them.

For a group, it takes the seat of this host first. The daemon then stands for election, and tells how that has ended.
"""

from __future__ import annotations

import os
import site
import sys
from select import POLLIN
from time import monotonic

from flom.client.addresses import daemon_host, peer_of
from flom.client.blocking.dial import NoDaemon
from flom.client.blocking.fork_safety import guard
from flom.client.blocking.stream import sleep, wait_for
from flom.codes import ReturnCode
from flom.config import DAEMON, SETTINGS, Config, private_sockets, state_directory
from flom.config.parsers import absolute
from flom.errors import LockTimeout
from flom.job.descriptors import inherited_descriptors
from flom.job.signals import PYTHON_IGNORES
from flom.lean import signal, socket
from flom.net.claim import OPEN, CannotClaim, Claim, claim_private, claim_tcp, claim_unix, remove_unserved
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final

    from flom.client.blocking.acquire import Hooks
    from flom.core.group.addresses import Group
    from flom.net.host_seat import Seat
    from flom.net.reservation import Reservation

START_TIMEOUT: Final = 30.0
"""Seconds that a daemon has to start (docs/compatibility.md, "A starter waits for its daemon for ever")."""

MOST_STARTS: Final = 10
"""A daemon with a short lifespan may have ended before its starter is connected, but not as often as this in a row."""

RETRY: Final = 0.02
"""Seconds until the next attempt while another program is about to listen at the address."""

_MOST_CAMPAIGN: Final = 60.0  # seconds of the longest one that a daemon takes as an option
_COMPLAINT: Final = "twistd flom: "  # begins a line of the daemon's own on stderr; those of libraries are not passed on

_MOST_PAUSE: Final = 0.02  # seconds between two looks whether a process that says nothing any more has ended

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_PROGRAM: Final = os.path.join("flom", "daemon", "__main__.py")  # not -m, which would import from where we happen to be

_TOLD_OTHERWISE: Final = frozenset(
    {
        "lifespan_ms",  # always, because a daemon has another default
        "socket_name",  # where it listens, and in which group, by what it inherits and by options of its own
        "unicast_address",
        "unicast_port",
        "multicast_address",
        "multicast_port",
        "network_interface",
        "discovery_ttl",
        "listen",  # not at all: this and the next are for daemons that are not started for a command
        "state",  # of one user, where a file may be for all
        "log_format",  # it logs to syslog
    }
)
"""Fields of L{Config} that a daemon does not get as we have them."""

_PATHS: Final = (
    "daemon_trace_file",
    "mount_point",
    "group_key",
    "tls_certificate",
    "tls_private_key",
    "tls_ca_certificate",
)


_KEPT: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "FLOM_TRACE_MASK"),
        *("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE"),  # by which Python finds itself and us
    }
)
_KEPT_OF_KIND: Final = ("LC_", "XDG_")
"""Variables that a daemon gets. Others may be secrets, or marks by which a CI server finds what it has to end."""


class Launch:
    """
    A daemon that is being started: a process that ends with status 0 when the daemon, its child, is ready.

    In a program with threads, the daemon is the only process that inherits what C{descriptors} names: no other child
    is forked before the caller, who holds L{guard}, has closed them.
    """

    def __init__(self, config: Config, options: Sequence[str], descriptors: Sequence[int]) -> None:
        """
        @param options: see L{daemon_words}.
        @param descriptors: that the daemon inherits, under the same numbers.
        @raise DaemonUnreachable: there is no Python to run it.
        """
        self._stderr, stderr = socket.socketpair()
        self._stderr.setblocking(False)
        self._complaint = b""
        self._is_ready = False
        self._paths = _paths_of(config)
        self._process: _Process | None = None
        try:
            # what a signal's handler raises must not come when there is a process and no self._process
            before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # which the daemon undoes
            try:
                self._process = _Process(daemon_words(config, options), _environment(), stderr.fileno(), descriptors)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                stderr.close()
        except (OSError, TypeError) as e:  # the latter: it is not known where Python is
            self.close()
            why = reason(e) if isinstance(e, OSError) else "no such program"
            raise not_started(f"cannot start a daemon: '{sys.executable}' cannot be run: {why}") from e
        except BaseException:
            self.close()
            raise

    def wait(self, deadline: float, pass_on: Callable[[str], None]) -> bool:
        """
        Wait until the daemon is ready, and return whether it is at C{deadline}, of C{time.monotonic}.

        @param pass_on: called with each line of the daemon's own on stderr.
        @raise KilledAtStart: it was killed.
        @raise DaemonUnreachable: it does not start.
        """
        if self._is_ready:
            return True
        assert self._process is not None
        try:
            while True:
                wait_for(self._stderr, POLLIN, deadline)
                if not (data := self._stderr.recv(65_536)):
                    break
                self._complaint += data
        except LockTimeout:
            return False
        if (code := self._process.wait(deadline)) is None:
            return False
        lines = self._complaint.decode("utf-8", "replace").strip().splitlines()
        if code != 0:
            if lines:
                raise not_started(f"the daemon did not start: {lines[-1]}")
            how = f"it was ended by signal {-code}" if code < 0 else "it was killed, or has ended without a word"
            raise KilledAtStart(ReturnCode.DAEMON_NOT_STARTED, f"the daemon did not start: {how}")
        self._is_ready = True
        for line in lines:
            if line.startswith(_COMPLAINT):
                pass_on(line)
        return True

    def close(self) -> None:
        """Leave the daemon alone if it is ready; otherwise, it does not start."""
        self._stderr.close()
        if not self._is_ready and self._process is not None:
            self._process.kill()
            for path in self._paths:
                remove_unserved(path)


class _Process:
    """
    A child process without our terminal, input and output, and without the descriptors that we have inherited.

    It is what C{subprocess} does, whose import takes longer than all of a start that is not the daemon's own.
    """

    def __init__(self, words: list[str], environment: dict[str, str], stderr: int, descriptors: Sequence[int]) -> None:
        """
        @param descriptors: that it inherits, under the same numbers; none of them is 0, 1 or 2.
        @raise OSError: there is no such program, or there can be no more processes.
        """
        self._code: int | None = None
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
        for number in descriptors:  # there and back: some C libraries make no copy of a descriptor onto itself
            actions += [(os.POSIX_SPAWN_DUP2, number, 0), (os.POSIX_SPAWN_DUP2, 0, number)]
        actions += [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
        ]
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in inherited_descriptors() if number not in descriptors]
        # in a group of its own: a Ctrl-Z, which stops us, must not stop the daemon that others may come to
        self._pid = os.posix_spawn(
            words[0], words, environment, file_actions=actions, setsigdef=PYTHON_IGNORES, setpgroup=0
        )

    def wait(self, deadline: float) -> int | None:
        """Return its status, or -N if signal N has ended it; C{None} if it has not ended by C{deadline}."""
        pause = 0.0005
        while not self._has_ended(os.WNOHANG):
            if (left := deadline - monotonic()) <= 0:
                return None
            sleep(min(pause, left))
            pause = min(2 * pause, _MOST_PAUSE)
        return self._code

    def kill(self) -> None:
        """End it now."""
        if not self._has_ended(os.WNOHANG):
            os.kill(self._pid, signal.SIGKILL)
            self._has_ended(0)

    def _has_ended(self, options: int) -> bool:
        if self._code is None:
            try:
                pid, status = os.waitpid(self._pid, options)
            except ChildProcessError:
                self._code = 0  # it has ended, and the program that we are part of does not want to know how
            else:
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
        return self._code is not None


class Candidate(Launch):
    """
    A daemon that is being started for a group, and that stands for election there.

    @ivar has_ended: true once the election is decided: the daemon leads, or another one does.
    """

    def __init__(self, config: Config, group: Group, seat: Seat, claim: Claim | None) -> None:
        """
        @param claim: where the daemon is to listen; C{None} for any port of any address.
        """
        self.has_ended = False
        self._group = group
        self._heard = b""
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        inherited = [*seat.descriptors(), theirs.fileno()]
        options = [
            *("--group", group.address),
            *("--port", str(group.port)),
            *("--interface", group.interface),
            *("--discovery-ttl", str(group.ttl)),
            *("--seat", _numbers(seat.descriptors())),
            *("--starter", str(theirs.fileno())),
        ]
        if claim is not None:
            inherited += claim.descriptors()
            options += ["--told", config.unicast_address, "--unicast-port", str(config.unicast_port)]
            options += ["--inherit", _numbers(claim.descriptors())]
        try:
            super().__init__(config.replace(election_time_ms=round(campaign_of(config) * 1000)), options, inherited)
        finally:
            theirs.close()

    def check(self, hooks: Hooks) -> bool:
        """
        Return whether the daemon leads since the last call; C{hooks} are told how the election has ended, if it has.

        @raise KilledAtStart: the daemon was killed.
        @raise DaemonUnreachable: the daemon does not start, or cannot be elected.
        """
        is_ready = self.wait(0.0, hooks.pass_on)
        if self.has_ended:
            return False
        try:
            while data := self._ours.recv(4096):
                self._heard += data
        except BlockingIOError:
            return False
        except OSError:
            pass
        if not is_ready and not self._heard:
            return False  # it has not come up; the launch will tell why
        self.has_ended = True
        word, _, why = self._heard.decode("utf-8", "replace").strip().partition(" ")
        if word == "deaf":
            raise not_started(why)
        if word == "elected":
            hooks.say(f"elected: this host leads {self._group}")
        elif word == "beaten":
            hooks.say(f"not elected: another host leads {self._group}")
        return word == "elected"

    def close(self) -> None:
        """Leave the daemon alone if it leads; otherwise, it ends."""
        self._ours.close()
        super().close()


class KilledAtStart(NoDaemon):
    """The daemon that was being started was killed, or has ended without saying why: another one may fare better."""


class ToComeBack(CannotClaim):
    """
    The address belongs to a daemon that was killed, and is to be waited for.

    @ivar left: seconds for which it is.
    """

    def __init__(self, where: str, left: float) -> None:
        why = f"it belongs to a daemon that is to come back within {left:.0f} s"
        super().__init__(where, why, is_taken=True, code=ReturnCode.CONNECT_ERROR)
        self.left = left


def start_daemon(config: Config, warn: Callable[[str], None]) -> Launch:
    """
    Start a daemon at the address that C{config} means.

    @param warn: called with a line if the daemon to which the address belonged has not come back, or if FLoM's
        commands will not find the new one.
    @raise ToComeBack: that may still come.
    @raise CannotClaim: the address cannot be listened on; perhaps because another program is about to start a daemon.
    """
    missed = _missed(config)
    with _Guarded():
        if config.unicast_address:
            claims = [claim_tcp(daemon_host(config), config.unicast_port)]
        elif config.socket_name:
            claims = [claim_unix(config.socket_path, OPEN)]
        else:
            claims = claim_private(private_sockets(), warn)
        try:
            if missed:
                _forget(missed, peer_of(config), warn)
            inherited = ":".join(_numbers(claim.descriptors()) for claim in claims)
            descriptors = [descriptor for claim in claims for descriptor in claim.descriptors()]
            return Launch(config, ["--inherit", inherited], descriptors)
        finally:
            for claim in claims:
                claim.close()


def _paths_of(config: Config) -> list[str]:
    """Return the paths of the UNIX sockets at which a daemon is started."""
    if config.unicast_address or config.multicast_address:
        return []
    return [config.socket_path] if config.socket_name else list(private_sockets())[1:]


def _missed(config: Config) -> list[Reservation]:
    """Return reservations of our address that do not hold any more; raise L{ToComeBack} if one does."""
    if not _may_be_reserved(config):
        return []  # without the import

    from flom.net.reservation import tcp_reservations, unix_reservations

    if config.unicast_address:
        found = tcp_reservations(daemon_host(config), config.unicast_port)
    elif config.socket_name:
        found = unix_reservations(config.socket_path, is_private=False)
    else:
        found = [each for address in private_sockets() for each in unix_reservations(address, is_private=True)]
    left = max((reservation.left for reservation in found), default=0.0)
    if left > 0:
        raise ToComeBack(peer_of(config), left)
    return found


def _may_be_reserved(config: Config) -> bool:
    if config.unicast_address or os.path.lexists(config.socket_path + ".reserved"):
        return True
    if config.socket_name:
        return False
    try:
        return any(name.endswith(".reserved") for name in os.listdir("/dev/shm"))  # not by its place alone
    except OSError:
        return False


def _forget(missed: list[Reservation], peer: str, warn: Callable[[str], None]) -> None:
    from flom.net.reservation import remove

    for reservation in missed:
        remove(reservation)
    seconds = max(reservation.seconds for reservation in missed)
    warn(f"{peer}: the daemon that it belongs to has not come back within {seconds:g} s, starting another")


def stand_for_election(config: Config, group: Group) -> Candidate | None:
    """
    Start a daemon that stands for election in C{group}; return C{None} if there is one on this host already.

    @raise DaemonUnreachable: the unicast address cannot be listened on, or see L{Launch}.
    @raise flom.net.multicast.NoMulticast: there is no interface for the group.
    """
    from flom.net.host_seat import SeatTaken, take_seat

    with _Guarded():
        try:
            seat = take_seat(group)
        except SeatTaken:
            return None
        claim = None
        try:
            if config.unicast_address:
                claim = claim_tcp(daemon_host(config), config.unicast_port)
            return Candidate(config, group, seat, claim)
        except CannotClaim as e:
            raise cannot_claim(e) from e
        finally:
            seat.close()
            if claim is not None:
                claim.close()


def campaign_of(config: Config) -> float:
    """Return the seconds of a candidate's campaign: half of those of a search, and at least those configured."""
    return max(config.timing.campaign, min(config.discovery_time / 2, _MOST_CAMPAIGN))


def cannot_claim(why: CannotClaim) -> NoDaemon:
    """Return the error that the address cannot be listened on."""
    return NoDaemon(why.code, f"cannot start a daemon: {why}")


def daemon_words(config: Config, options: Sequence[str]) -> list[str]:
    """Return the words that start a daemon; C{options} of C{twistd flom} come on top of those that C{config} means."""
    paths = {field: absolute(field.replace("_", "-"), path) for field in _PATHS if (path := getattr(config, field))}
    config = config.replace(**paths)
    python = [sys.executable, "-E"] if sys.flags.ignore_environment else [sys.executable]
    words = [*python, os.path.join(_PACKAGE, _PROGRAM), "--daemon-lifespan", str(config.lifespan_ms), *options]
    for setting in SETTINGS:
        is_used = config.is_tls or setting.place[0] != "TLS"  # a daemon would refuse half of TLS's files
        if DAEMON in setting.programs and setting.field not in _TOLD_OTHERWISE and is_used:
            words += setting.as_option(config)
    return words


class _Guarded:
    """Holds L{guard}; what is opened meanwhile is none of 0, 1 and 2, which are something else in the daemon."""

    def __enter__(self) -> None:
        guard.acquire()
        self._fillers: list[int] = []
        try:
            while not self._fillers or self._fillers[-1] < 3:
                self._fillers.append(os.open(os.devnull, os.O_RDONLY))
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for filler in self._fillers:
            os.close(filler)
        guard.release()


def _environment() -> dict[str, str]:
    """Return the environment of a daemon, in which Python finds this package, wherever it is."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_OF_KIND)}
    if _PACKAGE not in (*site.getsitepackages(), site.getusersitepackages()):
        path = filter(None, [_PACKAGE, kept.get("PYTHONPATH")])
        kept["PYTHONPATH"] = os.pathsep.join(path)
    return kept


def _numbers(descriptors: Iterable[int]) -> str:
    return ",".join(map(str, descriptors))


def without_state() -> str:
    """Return what to add to the line that a daemon is started, if there is no directory for what it is to remember."""
    return "" if state_directory() else "; it remembers nothing when it has ended: its user has no home"


def not_started(why: str) -> NoDaemon:
    """Return the error that there is no daemon in spite of all efforts."""
    return NoDaemon(ReturnCode.DAEMON_NOT_STARTED, why)
