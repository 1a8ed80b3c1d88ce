"""C{twistd flom}: its options, and the daemon that they describe."""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python import usage

from flom._version import __version__
from flom.config import DAEMON, SETTINGS, Config, load_file, override, private_sockets, state_directory
from flom.config.parsers import absolute, read_socket_name
from flom.core.protocol.messages import Role
from flom.errors import ConfigError, FlomError
from flom.interfaces import IReactor
from flom.job.descriptors import open_standard_streams
from flom.job.process_name import set_process_name
from flom.net.claim import OPEN, CannotClaim, Claim, claim_private, claim_tcp, claim_unix, from_descriptors
from flom.net.clock import system_instant
from flom.reactor.clock import make_monotonic
from flom.reactor.loop import speed_up
from flom.reactor.ports import ClaimedEndpoint
from flom.reactor.transports import tls_of
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.limits import limits_of
from flom.server.options import ServerOptions
from flom.server.positions import Positions
from flom.server.preload import ALWAYS, IN_GROUP, WITH_TLS, PreloadService
from flom.server.proofs import Proofs, proofs_of_directory
from flom.server.reload import ReloadService
from flom.server.service import build_daemon
from flom.server.state import Epochs, StateDirectory, StateError
from flom.server.store import NO_QUORUM, FileStore, Store
from flom.text import likeness, missing_extra, one_line, reason
from flom.trace import start_trace, tracer

if TYPE_CHECKING:
    from flom.net.campaign import Campaign
    from flom.server.group.service import Membership
    from flom.server.quorum.service import Quorum
    from flom.tls.context import Tls

T = TypeVar("T")

NAMES: Final = {"multicast-address": "group", "multicast-port": "port", "network-interface": "interface"}
"""Settings that go by a shorter name here; FLoM's will do too."""

_REPEATABLE: Final = ("listen", "socket-name", "unicast-address")

_SETTINGS: Final = [setting for setting in SETTINGS if DAEMON in setting.programs and setting.long not in _REPEATABLE]


_log: Final = Logger()


def _warn(text: str) -> None:
    print(one_line(f"twistd flom: warning: {text}"), file=sys.stderr)


def _call_later(call: Callable[[], None]) -> None:
    """Call C{call} when the reactor comes to it; for handlers of signals."""
    from twisted.internet import reactor

    cast(IReactor, reactor).callFromThread(call)


def _ignore(text: str) -> None:
    """Drop a warning."""


def _defaults_of_quorum(*, is_fast: bool) -> Config:
    """Return what a daemon under a quorum has where nothing else is said."""
    from flom.core.quorum.times import DEFAULT, FAST  # the others need not wait for its import

    times = FAST if is_fast else DEFAULT
    lease, session = round(times.lease * 1000), round(times.session * 1000)
    return Config(lifespan_ms=-1, sessions="required", session_timeout_ms=session, quorum_lease_ms=lease)


class Options(usage.Options):
    """
    What C{twistd flom} understands.

    @ivar config: made of the options and the configuration file.
    @ivar campaign: that was begun for the daemon, if any.
    """

    campaign: Campaign | None = None

    synopsis = "[options]"
    longdesc = (
        "Runs the lock daemon. --listen, --socket-name and --unicast-address may be given more than once; without "
        "any of them, and without --group, it listens on a UNIX socket of your own. "
        "--multicast-address, --multicast-port and --network-interface are other names for --group, --port and "
        "--interface."
    )

    optParameters = [
        *(
            [NAMES.get(setting.long, setting.long), setting.short or None, None, setting.help]
            for setting in _SETTINGS
            if setting.from_option is not None
        ),
        *([long, None, None, f"the same as --{short}"] for long, short in NAMES.items()),
        ["config-file", "c", None, "a configuration file as flom has it; options override it"],
        # what flom-run alone says, which the help text leaves out
        ["inherit", None, None, "descriptors of sockets and their lock files, from flom-run"],
        ["told", None, None, "the host to tell clients, where flom-run has claimed the address"],
        ["seat", None, None, "descriptors of the seat of this host in the group, from flom-run"],
        ["starter", None, None, "descriptor of a socket to flom-run, to tell how the election ends"],
    ]
    optFlags = [
        [setting.long, setting.short or None, setting.help] for setting in _SETTINGS if setting.from_option is None
    ]

    def __init__(self) -> None:
        super().__init__()
        open_standard_streams()  # which twistd replaces when it goes into the background, whatever they are by then
        for name in _REPEATABLE:
            self[name] = []

    def getUsage(self, width: int | None = None) -> str:
        """Return the help text, without what is for L{flom.client.blocking.launch} alone."""
        from flom.job.help import daemon_usage

        return daemon_usage(self.longdesc, NAMES)

    def opt_listen(self, description: str) -> None:
        """Listen on this Twisted endpoint, such as tcp:28015:interface=127.0.0.1 or systemd:index=0."""
        self["listen"].append(description)

    def opt_socket_name(self, path: str) -> None:
        """Listen on this UNIX socket."""
        self["socket-name"].append(path)

    opt_s = opt_socket_name

    def opt_unicast_address(self, host: str) -> None:
        """Listen on this host name or address, IPv4 or IPv6."""
        self["unicast-address"].append(host)

    opt_a = opt_unicast_address

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        print(f"flom {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read C{options}; an error in them ends the program with one line."""
        try:
            super().parseOptions(options)
        except usage.UsageError as e:
            unknown = str(e).removeprefix("option ").removesuffix(" not recognized")
            is_unknown = str(e) == f"option {unknown} not recognized"
            known = [f"--{name}" for name in (*_REPEATABLE, *(setting.long for setting in _SETTINGS))]
            hint = f"; {likeness(unknown, known)}" if is_unknown else ""
            raise SystemExit(one_line(f"twistd flom: {e}{hint}")) from None

    def parseArgs(self, *words: str) -> None:
        """Refuse words that belong to no option."""
        if words:
            raise usage.UsageError(f"'{words[0]}' belongs to no option; --help lists all options")

    def postOptions(self) -> None:
        try:
            self.config = self._configure()
            self.config.check_tls()
            self.config.check_election()
            self.config.check_sessions()
            self.config.check_quorum()
            self._take_addresses()
        except ConfigError as e:
            raise usage.UsageError(str(e)) from None
        if self.parent is not None:
            from flom.server.log_format import choose_log  # daemons of commands, which log to syslog, do not need it

            try:
                choose_log(self.parent, self.config.log_format, os.environ, _call_later)
            except ValueError as e:
                raise usage.UsageError(f"log-format: {e}") from None
        if self.config.is_tls_halved:
            raise usage.UsageError(f"TLS needs {' and '.join(self.config.missing_tls_files)} too")

    def _configure(self) -> Config:
        """Return the configuration of file and options together."""
        config = self._read(Config(lifespan_ms=-1), _warn)
        if config.quorum:
            config = self._read(_defaults_of_quorum(is_fast=config.fast), _ignore)  # which have said it just now
        if config.lifespan_ms == 0:
            raise usage.UsageError("daemon-lifespan: 0 would be no daemon; -1 is for ever")
        return config

    def _read(self, config: Config, warn: Callable[[str], None]) -> Config:
        """Override C{config} by the file and the options."""
        if self["config-file"] is not None:
            config = load_file(config, self["config-file"], warn)
            # to the other programs that read the file, 0 says not to start a daemon
            config = config.replace(lifespan_ms=config.lifespan_ms or -1)
        given = []
        for setting in _SETTINGS:
            short = self[NAMES.get(setting.long, setting.long)]
            text = self[setting.long] if short is None else short
            if text not in (None, 0):  # 0 is for a flag that was not given
                given.append((setting, text))
        return override(config, given, warn)

    def _take_addresses(self) -> None:
        """Set where to listen, and to mount: what the options say, otherwise what the file says."""
        self["listen"] = self["listen"] or list(self.config.listen)
        in_file = {"socket-name": self.config.socket_name, "unicast-address": self.config.unicast_address}
        for option, value in in_file.items():
            if "" in self[option]:
                raise usage.UsageError(f"{option}: '' is an invalid value")
            self[option] = self[option] or ([value] if value else [])
        if several := [host for host in self["unicast-address"] if "," in host]:
            raise usage.UsageError(f"unicast-address: '{several[0]}' are several hosts, and a daemon has one")
        paths = [absolute("socket-name", path) for path in self["socket-name"]]  # twistd may change its directory
        self["socket-name"] = [read_socket_name(path) for path in paths]
        if self["listen"] or self["unicast-address"] or self.config.multicast_address:
            self.config.check_keepalive()
        for setting in SETTINGS:
            if (
                setting.field.startswith("tls_")
                and isinstance(path := getattr(self.config, setting.field), str)
                and path
            ):
                self.config = self.config.replace(**{setting.field: absolute(setting.long, path)})
        if place := self.config.mount_point:
            self.config = self.config.replace(mount_point=absolute("mount-point-vfs", place))
        if directory := self.config.state:
            self.config = self.config.replace(state=absolute("state", directory))


class _Daemon(MultiService):
    """
    The service that twistd starts.

    It reports in one line why it cannot start, has a process name that C{pgrep flom} finds, ignores SIGUSR1 and
    SIGUSR2, and raises the limit of descriptors as far as the system allows. SIGHUP does not end it, as it does not end
    FLoM's (docs/compatibility.md, "Start of a daemon"): see L{ReloadService}.
    """

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name  # until it has a role in a group
        self._made_by = os.getpid()

    def privilegedStartService(self) -> None:
        set_process_name(self._process_name)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            if signal.getsignal(number) is signal.SIG_DFL:  # twistd may turn its log file over at SIGUSR1
                signal.signal(number, signal.SIG_IGN)
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._end_early)  # until the reactor, which is about to run, has its own
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        gc.freeze()  # what is there now is there to stay
        gc.set_threshold(10_000, 20, 20)  # the many connections leave hardly any cycles behind
        try:
            super().privilegedStartService()
        except (CannotListenError, FlomError, OSError, OverflowError, ValueError) as e:
            if os.getpid() != self._made_by:
                raise  # twistd has forked, and passes the error to the process that the user waits for
            print(f"twistd flom: {e}", file=sys.__stderr__)  # twistd logs what is written to sys.stderr by now
            raise SystemExit(1) from None

    def _end_early(self, number: int, _: object) -> None:
        """Leave nothing behind by which clients would wait for this daemon."""
        with suppress(Exception):
            self.stopService()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def makeService(options: Options) -> MultiService:
    """Return the service that twistd runs (C{IServiceMaker.makeService})."""
    from twisted.internet import reactor as the_reactor

    reactor = cast(IReactor, the_reactor)
    for number in (signal.SIGINT, signal.SIGTERM):  # an order to end is ignored while the daemon ends
        reactor.addSystemEventTrigger("before", "shutdown", signal.signal, number, signal.SIG_IGN)
    speed_up(reactor)
    make_monotonic(reactor)
    return daemon_from(options, reactor)


def daemon_from(options: Options, reactor: IReactor) -> MultiService:
    """Return the daemon that C{options} describe, its sockets bound; C{SystemExit} if they cannot be."""
    config = options.config
    daemon = _Daemon("flom-candidate" if config.multicast_address else "flom")
    if config.daemon_trace_file:
        start_trace(config.daemon_trace_file, config.append_trace_file, os.environ, _warn)
        for setting in SETTINGS:
            is_list = setting.long in _REPEATABLE
            text = f"{setting.long}: {options[setting.long]}" if is_list else setting.show(config)
            tracer("config").debug("%s", text)
    if config.http:
        try:
            from flom.server.web.site import web_service  # its import takes long, and few need it
        except ImportError as e:
            raise SystemExit(one_line(f"twistd flom: http {missing_extra(e)}")) from None
    try:
        tls = tls_of(config)
        claims = _claims(options)
        endpoints = [ClaimedEndpoint(reactor, claim) for claim in claims] + _endpoints(options, reactor)
        membership = _membership(options, claims, endpoints, reactor)
        epochs, positions, proofs, store = _memory(options, claims)
        quorum = _quorum(config, epochs, reactor)
    except FlomError as e:
        raise SystemExit(one_line(f"twistd flom: {e}")) from None
    limits = limits_of(config)
    arbiter: DeferredArbiter
    if quorum is None:
        kept: dict[str, Any] = {"epochs": epochs, "positions": positions, "store": store}
        arbiter = DeferredArbiter(reactor, system_instant, log_grants=config.log_grants, limits=limits, **kept)
    else:
        from flom.server.quorum.arbiter import LeasedArbiter, LeasedEpochs

        epochs, proofs = LeasedEpochs(epochs.state), None  # the next leader has another key
        arbiter = LeasedArbiter(reactor, system_instant, log_grants=config.log_grants, limits=limits, epochs=epochs)
    counters = Counters()
    build_daemon(
        reactor,
        arbiter,
        endpoints,
        lifespan=config.lifespan_ms / 1000 if config.lifespan_ms > 0 else None,
        options=ServerOptions(
            config.keepalive,
            tls,
            allow_remote_shutdown=config.allow_remote_shutdown,
            allow_local_shutdown=config.allow_local_shutdown,
            status_for_all=config.status_for == "all",
            limits=limits,
            sessions_are_required=config.sessions_are_required,
        ),
        membership=membership,
        end=reactor.stop,
        counters=counters,
        reservation=config.reservation_ms / 1000 if membership is None and options["inherit"] is None else 0.0,
        knows_holders=membership is None and quorum is None and config.session_timeout_ms > 0,
        proofs=proofs,
        quorum=quorum,
    ).setServiceParent(daemon)
    names = [*ALWAYS, *(IN_GROUP if membership else ()), *(WITH_TLS if tls else ())]
    PreloadService(reactor, names).setServiceParent(daemon)
    if config.http:
        web_service(reactor, _endpoint(config.http, "http", reactor), arbiter, counters).setServiceParent(daemon)
    if config.mount_point:
        from flom.server.vfs import MountService

        MountService(reactor, os.path.realpath(config.mount_point), arbiter, counters).setServiceParent(daemon)
    _be_supervised(daemon, reactor, arbiter, counters, tls)
    return daemon


def _be_supervised(
    daemon: MultiService, reactor: IReactor, arbiter: DeferredArbiter, counters: Counters, tls: Tls | None
) -> None:
    """Add to C{daemon} what obeys an order to reload, and tells the supervisor what becomes of it, if there is one."""
    notifier = None
    if "NOTIFY_SOCKET" in os.environ:
        from flom.net.notify import take_notifier  # daemons of commands need not wait for its import

        notifier = take_notifier(os.environ)
    if notifier is None:
        ReloadService(reactor, tls).setServiceParent(daemon)
        return

    from flom.server.notify import NotifyService  # likewise

    telling = NotifyService(reactor, notifier, arbiter, counters)
    ReloadService(reactor, tls, telling.reload).setServiceParent(daemon)
    telling.setServiceParent(daemon)  # last: it is stopped first, and says so


def _quorum(config: Config, epochs: Epochs, reactor: IReactor) -> Quorum | None:
    """Return the quorum of the daemon; C{None} if it has none."""
    if not config.quorum:
        return None

    from flom.server.quorum.configured import quorum_of  # the others need not wait for its import

    return quorum_of(config, reactor, epochs.state)


def _memory(options: Options, claims: list[Claim]) -> tuple[Epochs, Positions | None, Proofs | None, Store]:
    """Return what the daemon remembers in its state directory: epochs, positions, its key, and what else is kept."""
    is_for_command = options["inherit"] is not None or options["starter"] is not None
    path = state_directory() if is_for_command else options.config.state
    is_in_group = bool(options.config.multicast_address)
    nothing = Store(NO_QUORUM) if is_in_group else Store()
    if not path:
        return Epochs(), None, Proofs(), nothing
    place = _first_address(options, claims)
    try:
        state = StateDirectory(path)
        proofs = Proofs() if is_in_group else proofs_of_directory(state, place)
        keeps_files = not (is_in_group or options.config.quorum)
        store = FileStore(state, place, _in_thread) if keeps_files else nothing
        return Epochs(state), Positions(state, place), proofs, store
    except StateError as e:
        if not is_for_command:
            raise ConfigError(f"state: {e}") from None
        _log.warn("{why}: nothing is remembered when this daemon has ended", why=str(e))
        return Epochs(problem=str(e)), None, Proofs(), Store(str(e))


def _in_thread(call: Callable[[], T]) -> Deferred[T]:
    from twisted.internet.threads import deferToThread  # a daemon that keeps nothing need not wait for its import

    return deferToThread(call)


def _first_address(options: Options, claims: list[Claim]) -> str:
    """Return what tells this daemon from others of its user: its group, or the first of its addresses."""
    if options.config.multicast_address:
        return f"{options.config.multicast_address} {options.config.multicast_port}"
    if not claims:
        return str(options["listen"][0])
    name = claims[0].socket.getsockname()
    return " ".join(map(str, name[:2])) if isinstance(name, tuple) else os.fsdecode(name)


def _claims(options: Options) -> list[Claim]:
    claims = []
    if options["inherit"] is not None:
        try:
            for descriptors in options["inherit"].split(":"):
                claims.append(from_descriptors(*map(int, descriptors.split(","))))
        except (ValueError, TypeError, OSError):
            raise SystemExit(f"twistd flom: inherit: '{options['inherit']}' is no socket") from None
    claims += [claim_unix(path, OPEN) for path in options["socket-name"]]
    hosts, port = options["unicast-address"], options.config.unicast_port
    v6_only = "0.0.0.0" in hosts  # or else "::" would want that too
    may_come = bool(options.config.multicast_address) and options["starter"] is None
    claims += [_claim_tcp(host, port, v6_only=v6_only, may_come=may_come) for host in hosts]
    if not claims and not options["listen"] and not options.config.multicast_address:
        claims += claim_private(private_sockets(), _warn)
    return claims


def _claim_tcp(host: str, port: int, *, v6_only: bool, may_come: bool) -> Claim:
    """Claim an address; C{may_come} if no interface need have it yet, before the network is up."""
    try:
        return claim_tcp(host, port, v6_only=v6_only)
    except CannotClaim as e:
        if not may_come:
            raise
        claim = claim_tcp(host, port, v6_only=v6_only, may_come=True)
        _warn(f"{e}: waiting for it to come")
        return claim


def _endpoints(options: Options, reactor: IReactor) -> list[IStreamServerEndpoint]:
    return [each for description in options["listen"] for each in _endpoints_of(description, "listen", reactor)]


def _endpoint(description: str, option: str, reactor: IReactor) -> IStreamServerEndpoint:
    """Return the one endpoint that C{description} means."""
    endpoints = _endpoints_of(description, option, reactor)
    if len(endpoints) > 1:
        why = f"{len(endpoints)} sockets have that name, and one is wanted"
        raise SystemExit(one_line(f"twistd flom: {option}: '{description}' is no endpoint: {why}"))
    return endpoints[0]


def _endpoints_of(description: str, option: str, reactor: IReactor) -> list[IStreamServerEndpoint]:
    """Return the endpoints that C{description} means: several, if it names sockets that were passed to us."""
    from twisted.internet.endpoints import serverFromString

    try:
        if description.startswith("systemd:"):  # Twisted would open it to every user, and remove it in the end
            from flom.job.environment import inherited_environment
            from flom.net.passed import passed_sockets

            environ = inherited_environment()  # Twisted has removed what it knows from os.environ
            passed = passed_sockets(description, environ)
            return [ClaimedEndpoint(reactor, Claim(each, is_borrowed=True)) for each in passed]
        if description.startswith(("stdio:", "haproxy:stdio:")):
            raise ValueError("clients cannot connect to it")
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as e:  # of Twisted's parsers, of OpenSSL, or of a plugin
        host, _, port = description.rpartition(":")
        hint = f"; tcp:{description} is one" if description.isdecimal() else ""
        if port.isdecimal() and (host == "localhost" or "." in host) and ":" not in host:
            hint = f"; tcp:{port}:interface={host} is one"
        why = _why_no_endpoint(e) + hint
        raise SystemExit(one_line(f"twistd flom: {option}: '{description}' is no endpoint: {why}")) from None
    return [endpoint]


def _why_no_endpoint(error: Exception) -> str:
    if isinstance(error, ImportError):  # of Twisted's TLS
        return f"it {missing_extra(error)}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {reason(error)}"
    if error.args and isinstance(error.args[0], list):  # OpenSSL's: tuples that end with a text
        from flom.tls.verdicts import describe_complaints

        return f"its key or certificate cannot be used: {describe_complaints([part[-1] for part in error.args[0]])}"
    return str(error)


def _membership(
    options: Options, claims: list[Claim], endpoints: list[IStreamServerEndpoint], reactor: IReactor
) -> Membership | None:
    """Return the membership in a group, or C{None}; without a unicast address, add an endpoint on all addresses."""
    config = options.config
    if not config.multicast_address:
        return None

    from flom.core.group.listening import Listening
    from flom.net.host_seat import inherit_seat
    from flom.net.multicast import group_of  # the others need not wait for its import
    from flom.server.group.service import Membership

    is_on_its_own = options["starter"] is None
    group = group_of(config, must_be_there=not is_on_its_own)
    hosts = options["unicast-address"] if options["told"] is None else [options["told"]]
    listening = [claim.socket for claim in claims if claim.socket.family != socket.AF_UNIX]
    if not hosts:
        claim = claim_tcp("::" if group.is_ipv6 else "0.0.0.0", 0)
        endpoints.append(ClaimedEndpoint(reactor, claim))
        hosts, listening = [""], [claim.socket]
    port = listening[0].getsockname()[1]
    told = [(_host_to_tell(host), at.getsockname()[0]) for host, at in zip(hosts, listening, strict=True)]
    seat = starter = None
    if not is_on_its_own:
        try:
            seat = inherit_seat(group, map(int, (options["seat"] or "").split(",")))
            starter = socket.socket(fileno=int(options["starter"]))
            starter.set_inheritable(False)
        except (ValueError, OSError):
            given = f"seat: '{options['seat']}', starter: '{options['starter']}'"
            raise SystemExit(f"twistd flom: {given}: not the sockets of a flom-run") from None
    return Membership(
        group,
        Listening(port, tuple(told)),
        config.timing,
        seat,
        starter,
        stands_by=is_on_its_own,
        waits_for_network=is_on_its_own,
        on_role=_name_by_role,
        campaign=options.campaign,
    )


def _host_to_tell(host: str) -> str:
    """Return the C{host} that was configured as clients are told it."""
    # a zone means nothing to other hosts (docs/compatibility.md, "Discovery by the daemon")
    return "" if host in ("0.0.0.0", "::") else host.partition("%")[0]


def _name_by_role(role: Role) -> None:
    """Set a process name by which C{pgrep -l flom} shows whether this daemon leads."""
    set_process_name("flom" if role is Role.LEADER else f"flom-{role.value}")
