"""C{twistd flom}: options become a daemon, or one line that says what is wrong with them."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from flom.config import DAEMON, SETTINGS, Config, Setting
from flom.core.group.addresses import Group
from flom.core.group.listening import Listening
from flom.core.group.timing import DEFAULT_TIMING, Timing
from flom.core.quorum.times import DEFAULT
from flom.net.claim import OPEN, claim_unix
from flom.net.host_seat import take_seat
from flom.net.keepalive import Keepalive
from flom.net.multicast import NetworkInterface
from flom.server.arbiter import DeferredArbiter
from flom.server.group.service import Membership
from flom.server.limits import Limits
from flom.server.options import ServerOptions
from flom.server.service import build_daemon
from flom.server.state import Epochs
from flom.tap import Options, daemon_from
from flom.tls.authority import issue, make_authority
from flom.trace import stop_trace
from tests.fakes.programs import free_port
from tests.fakes.reactors import MemoryReactor


def parse(*words: str) -> Options:
    options = Options()
    options.parseOptions(list(words))
    return options


OWN_SETTINGS: Final = [setting for setting in SETTINGS if DAEMON in setting.programs]

VALUES: Final[dict[str, tuple[str, Any]]] = {
    "daemon_trace_file": ("/trace", "/trace"),
    "append_trace_file": ("yes", True),
    "hold_limits": ("backup*=1h,10m", "backup*=1h,10m"),
    "lock_delays": ("30s", "30s"),
    "lifespan_ms": ("700", 700),
    "unicast_port": ("28016", 28016),
    "multicast_address": ("ff02::2", "ff02::2"),
    "multicast_port": ("28016", 28016),
    "network_interface": ("eth0", "eth0"),
    "discovery_ttl": ("3", 3),
    "keepalive_time": ("7", 7),
    "keepalive_interval": ("3", 3),
    "keepalive_probes": ("2", 2),
    "allow_remote_shutdown": ("yes", True),
    "allow_local_shutdown": ("yes", True),
    "heartbeat_ms": ("300", 300),
    "leader_timeout_ms": ("2000", 2000),
    "election_time_ms": ("600", 600),
    "max_connections": ("0", 0),
    "max_connections_per_peer": ("7", 7),
    "max_waiters": ("7", 7),
    "max_resources": ("7", 7),
    "max_locks_per_connection": ("7", 7),
    "max_overtaking": ("7", 7),
    "max_message_size": ("1000", 1000),
    "message_timeout_ms": ("700", 700),
    "unread_timeout_ms": ("700", 700),
    "session_timeout_ms": ("700", 700),
    "sessions": ("required", "required"),
    "socket_name": ("/flom", ["/flom"]),
    "unicast_address": ("::1", ["::1"]),
    "listen": ("tcp:1", ["tcp:1"]),
    "mount_point": ("/", "/"),
    "http": ("tcp:1", "tcp:1"),
    "status_for": ("all", "all"),
    "log_grants": ("yes", True),
    "log_format": ("json", "json"),
    "group_key": ("/key", "/key"),
    "group_key_required": ("yes", True),
    "reservation_ms": ("500", 500),
    "state": ("/state", "/state"),
}
"""How each setting may be said, by its field, and what that means; those of TLS and of a quorum go together only."""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def value_of(setting: Setting, options: Options) -> Any:
    """Return what C{options} say of C{setting}; addresses, of which there may be many, are lists."""
    is_address = setting.field in ("socket_name", "unicast_address", "listen")
    return options[setting.long] if is_address else getattr(options.config, setting.field)


@pytest.mark.parametrize(
    "setting",
    [setting for setting in OWN_SETTINGS if setting.place[0] not in ("TLS", "Quorum")],
    ids=lambda setting: setting.long,
)
def test_a_setting_may_be_an_option_or_stand_in_a_file(setting: Setting, tmp_path: Path) -> None:
    text, value = VALUES[setting.field]
    group, key = setting.place
    file = write(tmp_path / "flom.conf", f"[{group}]\n{key}={text}\n")
    as_option = [f"--{setting.long}"] if setting.from_option is None else [f"--{setting.long}", text]
    assert value_of(setting, parse()) != value
    assert value_of(setting, parse(*as_option)) == value
    assert value_of(setting, parse("--config-file", file)) == value


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--group", "ff02::2"], "multicast_address", "ff02::2"),
        (["-A", "ff02::2"], "multicast_address", "ff02::2"),
        (["--port", "28016"], "multicast_port", 28016),
        (["-P", "28016"], "multicast_port", 28016),
        (["--interface", "eth0"], "network_interface", "eth0"),
        (["-n", "eth0"], "network_interface", "eth0"),
        (["-p", "28016"], "unicast_port", 28016),
        (["-d", "-7"], "lifespan_ms", -7),
        (["-t", "/trace"], "daemon_trace_file", "/trace"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_some_settings_go_by_shorter_names_too(words: list[str], field: str, value: object) -> None:
    assert getattr(parse(*words).config, field) == value


def test_a_duration_may_have_a_unit() -> None:
    config = parse("-d", "5s", "--reservation", "2m", "--heartbeat", "0300").config
    assert (config.lifespan_ms, config.reservation_ms, config.heartbeat_ms) == (5000, 120_000, 300)


def test_help_tells_of_every_setting() -> None:
    told = " ".join(parse().getUsage().split())
    assert [setting.long for setting in OWN_SETTINGS if f"--{setting.long}" not in told] == []
    assert "--starter" not in told


def test_what_is_for_commands_is_no_option() -> None:
    for setting in SETTINGS:
        if DAEMON not in setting.programs and setting.long not in ("max-hold", "lock-delay"):
            with pytest.raises(SystemExit, match=f"option --{setting.long} not recognized"):
                parse(f"--{setting.long}")


def test_without_options_it_never_ends_and_the_rest_is_as_for_commands() -> None:
    assert parse().config == Config(lifespan_ms=-1)


def test_a_relative_path_is_meant_from_where_we_are() -> None:
    assert parse("--socket-name", "flom.sock")["socket-name"] == [str(Path("flom.sock").absolute())]


# configuration files


def test_options_override_a_file_setting_by_setting(tmp_path: Path) -> None:
    file = write(tmp_path / "flom.conf", "[Daemon]\nLifespan=1\nUnicastPort=1\n[Network]\nDiscoveryTTL=2\n")
    expected = Config(lifespan_ms=3, unicast_port=1, discovery_ttl=1)
    assert parse("-d", "3", "-c", file, "--discovery-ttl", "1").config == expected


def test_a_lifespan_of_0_in_a_file_is_for_commands_only(tmp_path: Path) -> None:
    file = write(tmp_path / "flom.conf", "[Daemon]\nLifespan=0\n")
    assert parse("-c", file).config.lifespan_ms == -1
    assert parse("-c", file, "-d", "700").config.lifespan_ms == 700


def test_addresses_among_the_options_replace_those_of_the_file(tmp_path: Path) -> None:
    text = "[Daemon]\nSocketName=/file\nUnicastAddress=::1\nListen=tcp:1;tcp:2\n"
    file = write(tmp_path / "flom.conf", text)
    options = parse("-c", file, "-s", "/a", "-s", "/b", "-a", "::2", "--listen", "tcp:3", "--listen", "tcp:4")
    assert options["socket-name"] == ["/a", "/b"]
    assert options["unicast-address"] == ["::2"]
    assert options["listen"] == ["tcp:3", "tcp:4"]
    assert parse("-c", file)["listen"] == ["tcp:1", "tcp:2"]


def test_a_relative_path_in_a_file_is_meant_from_where_we_are_too(tmp_path: Path) -> None:
    file = write(tmp_path / "flom.conf", "[Daemon]\nSocketName=flom.sock\n")
    assert parse("-c", file)["socket-name"] == [str(Path("flom.sock").absolute())]


def test_what_a_file_says_to_commands_is_checked_and_has_no_effect(tmp_path: Path) -> None:
    text = "[Resource]\nName={name}\n[Network]\nDiscoveryAttempts=7\n"
    parse("-c", write(tmp_path / "good.conf", text.format(name="R1")))
    with pytest.raises(SystemExit, match=r"bad\.conf.*\[Resource\] Name: '1bad'"):
        parse("-c", write(tmp_path / "bad.conf", text.format(name="1bad")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[Monitor]\nIgnoredSignals=SIGNAL\n", "[Monitor] IgnoredSignals: ignore-signal: 'SIGNAL' is no signal"),
    ],
    ids=["a signal that is none"],
)
def test_what_has_no_effect_is_told_in_one_line(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parse("-c", write(tmp_path / "flom.conf", text))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("twistd flom: warning: ")
    assert told in line


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("no key file", ["no key file"]),
        ("[Daemon]\nLifespan=soon\n", ["[Daemon] Lifespan: 'soon'"]),
        ("[Daemon]\nUnicastPort=70000\n", ["[Daemon] UnicastPort: '70000'"]),
        ("[Daemon]\nMulticastPort=0\n", ["[Daemon] MulticastPort: '0'"]),
        ("[Daemon]\nHeartbeat=9\n", ["[Daemon] Heartbeat: '9'"]),
        ("[Daemon]\nElectionTime=0x200\n", ["[Daemon] ElectionTime: '0x200'"]),
        ("[Daemon]\nAllowRemoteShutdown=perhaps\n", ["[Daemon] AllowRemoteShutdown: 'perhaps'"]),
        (f"[Daemon]\nSocketName=/{'x' * 107}\n", ["[Daemon] SocketName: '/xxx"]),
        ("[Network]\nDiscoveryTTL=256\n", ["[Network] DiscoveryTTL: '256'"]),
        ("[Network]\nTcpKeepaliveTime=x\n", ["[Network] TcpKeepaliveTime: 'x'"]),
        ("[TLS]\nTlsCertificate=/nowhere.pem\n", ["[TLS] TlsCertificate: '/nowhere.pem'"]),
        ("[TLS]\nTlsCheckPeerId=perhaps\n", ["[TLS] TlsCheckPeerId: 'perhaps'"]),
    ],
    ids=lambda value: value.strip().split("\n")[-1][:40] if isinstance(value, str) else "",
)
def test_a_bad_file_is_one_line_that_names_file_group_and_key(text: str, named: list[str], tmp_path: Path) -> None:
    """The program ends."""
    file = write(tmp_path / "flom.conf", text)
    with pytest.raises(SystemExit) as raised:
        parse("-c", file)
    line = str(raised.value)
    assert "\n" not in line
    assert line.startswith("twistd flom: ")
    assert [part for part in [file, *named] if part not in line] == []


@pytest.mark.parametrize("name", ["nowhere.conf", ""], ids=["missing", "a directory"])
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    """The program ends."""
    file = str(tmp_path / name)
    with pytest.raises(SystemExit, match=f"^twistd flom: .*{file}.*$"):
        parse("--config-file", file)


# a quorum


QUORUM: Final = ("--quorum", "etcd:http://127.0.0.1:2379")


@pytest.mark.parametrize(
    ("words", "session", "sessions", "lease"),
    [
        ([], 5000, "required", 3000),
        (["--fast"], 3000, "required", 2000),
        (["--session-timeout", "10s", "--sessions", "optional"], 10_000, "optional", 3000),
        (["--fast", "--quorum-lease", "4s", "--session-timeout", "6s"], 6000, "required", 4000),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_under_a_quorum_other_things_are_the_default(
    words: list[str], session: int, sessions: str, lease: int, tmp_path: Path
) -> None:
    config = parse(*QUORUM, *words).config
    assert (config.session_timeout_ms, config.sessions, config.quorum_lease_ms) == (session, sessions, lease)
    assert config.lifespan_ms == -1
    file = write(tmp_path / "flom.conf", "[Quorum]\nQuorum=etcd:http://127.0.0.1:2379\n")
    assert parse("-c", file, *words).config == config


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--quorum", "zk:h1"], "quorum: 'zk:h1': it does not begin with etcd:"),
        ([*QUORUM, "--session-timeout", "3s"], "session-timeout: 3 s have to be more than the 3 s of quorum-lease"),
        ([*QUORUM, "--quorum-margin", "500"], "quorum-margin: 0.5 s are too short"),
        ([*QUORUM, "--quorum-lease", "2500"], "quorum-lease: 2.5 s: etcd has leases of whole seconds"),
        ([*QUORUM, "--session-timeout", "0"], "sessions: 'required' needs a session-timeout, which is 0"),
        (["--fast"], "fast: 'yes' needs quorum too"),
        ([*QUORUM, "--quorum-ca", "/etc/passwd"], "quorum-ca: '/etc/passwd' is for addresses of https"),
        ([*QUORUM, "--quorum-user", "flom"], "quorum-user: 'flom' needs quorum-password-file too"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_what_does_not_fit_together_is_one_line(words: list[str], why: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"^twistd flom: {re.escape(why)}.*$"):
        daemon_from(parse("-s", str(tmp_path / "flom.sock"), *words), MemoryReactor())


def test_a_daemon_under_a_quorum_remembers_no_holders_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of the leader before may be anywhere: the times of the quorum decide."""
    parts = made(monkeypatch, "-s", str(tmp_path / "flom.sock"), *QUORUM)
    assert parts["quorum"].times == DEFAULT
    assert (parts["knows_holders"], parts["proofs"]) == (False, None)
    assert parts["options"].sessions_are_required


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The options that it takes to speak TLS, and their files."""
    directory = tmp_path_factory.mktemp("tls")
    authority = make_authority(directory, 1)
    issued = issue(directory, "daemon", 1)
    return {
        "--tls-certificate": str(issued.certificate),
        "--tls-private-key": str(issued.key),
        "--tls-ca-certificate": str(authority.certificate),
    }


def words_of(options: Mapping[str, str]) -> list[str]:
    return [word for option in options.items() for word in option]


def test_three_files_make_it_speak_tls(
    certificate: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["-s", str(tmp_path / "flom.sock"), *words_of(certificate), "--tls-check-peer-id", "yes"]
    tls = server_options_of(monkeypatch, *words).tls
    assert tls is not None
    assert (tls.own_name, tls.checks_peer_id) == ("daemon", True)


def test_the_files_may_be_named_in_a_file(
    certificate: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    places = {setting.long: setting.place for setting in SETTINGS}
    lines = [f"{places[option[2:]][1]}={path}" for option, path in certificate.items()]
    file = write(tmp_path / "flom.conf", "\n".join(["[TLS]", *lines]))
    tls = server_options_of(monkeypatch, "-s", str(tmp_path / "flom.sock"), "-c", file).tls
    assert tls is not None
    assert not tls.checks_peer_id


@pytest.mark.parametrize("missing", ["--tls-certificate", "--tls-private-key", "--tls-ca-certificate"])
@pytest.mark.parametrize("number", [1, 2])
def test_some_of_the_files_are_not_enough(missing: str, number: int, certificate: dict[str, str]) -> None:
    """A command goes on in plain text; a daemon that did would be there for the wrong ones."""
    given = {option: path for option, path in certificate.items() if (option == missing) == (number == 1)}
    with pytest.raises(SystemExit) as raised:
        parse(*words_of(given))
    needed = " and ".join(option[2:] for option in certificate if option not in given)
    assert str(raised.value) == f"twistd flom: TLS needs {needed} too"


def test_peer_ids_cannot_be_checked_in_plain_text() -> None:
    with pytest.raises(SystemExit, match="tls-check-peer-id needs tls-certificate and ") as raised:
        parse("--tls-check-peer-id", "yes")
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_used_end_the_program_with_one_line(certificate: dict[str, str], tmp_path: Path) -> None:
    swapped = {**certificate, "--tls-private-key": certificate["--tls-certificate"]}
    with pytest.raises(SystemExit, match=r"^twistd flom: tls-private-key: '.*daemon\.pem' cannot be used") as raised:
        daemon_from(parse("-s", str(tmp_path / "flom.sock"), *words_of(swapped)), MemoryReactor())
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "flom.sock").exists()


# the trace


@pytest.fixture
def traced() -> Iterator[None]:
    """End a trace that the test starts."""
    yield
    stop_trace()


@pytest.mark.parametrize(("append", "kept"), [("no", []), ("yes", ["earlier"])])
@pytest.mark.usefixtures("traced")
def test_it_traces_to_a_file_from_the_settings_on(append: str, kept: list[str], tmp_path: Path) -> None:
    file = write(tmp_path / "trace", "earlier\n")
    words = ["--daemon-trace-file", file, "--append-trace-file", append, "-s", str(tmp_path / "flom.sock")]
    daemon = daemon_from(parse(*words, "--heartbeat", "300"), MemoryReactor())
    daemon.startService()
    lines = Path(file).read_text().splitlines()
    assert lines[: -len(SETTINGS) - 1] == kept
    pattern = rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{6}} \[{os.getpid()}/\d+\] "
    texts = [re.sub(f"^{pattern}", "", line) for line in lines[len(kept) :]]
    assert texts[0] == f"config: [Trace]/DaemonTraceFile='{file}'"
    assert "config: [Daemon]/Heartbeat=300" in texts
    assert texts[-1].startswith("daemon: listening on UNIXAddress(")
    daemon.stopService()


@pytest.mark.usefixtures("traced")
def test_a_trace_that_cannot_be_written_is_no_reason_not_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "nowhere" / "trace")
    daemon_from(parse("-t", file, "-s", str(tmp_path / "flom.sock")), MemoryReactor())
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"twistd flom: warning: cannot trace to '{file}'")


# mistakes


@pytest.mark.parametrize(
    "words",
    [
        ["--daemon-lifespan", "0"],
        ["--daemon-lifespan", "soon"],
        ["--unicast-port", "70000"],
        ["--port", "0"],
        ["--port", "70000"],
        ["--discovery-ttl", "256"],
        ["--heartbeat", "9"],
        ["--leader-timeout", "soon"],
        ["--leader-timeout", "500"],  # less than two heartbeats
        ["--election-time", "99"],
        ["--max-connections", "-1"],
        ["--max-connections-per-peer", "-1"],
        ["--max-waiters", "many"],
        ["--max-resources", "2147483648"],
        ["--max-message-size", "510"],
        ["--max-message-size", "65537"],
        ["--message-timeout", "0"],
        ["--unread-timeout", "0"],
        ["--sessions", "maybe"],
        ["--sessions", "required", "--session-timeout", "0"],
        ["--tcp-keepalive-time", "0", "-a", "127.0.0.1"],
        ["--tcp-keepalive-probes", "128", "--group", "ff02::1"],
        ["--socket-name", "/" + "x" * 107],
        ["--socket-name", ""],
        ["--unicast-address", ""],
        ["--unicast-address", "h1,h2"],
        ["--socket-name", "\udcff" * 108],
        ["--colour", "red"],
    ],
    ids=" ".join,
)
def test_a_bad_option_ends_the_program_with_one_line_that_names_it(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(*words)
    assert "\n" not in str(raised.value)
    assert words[0][2:] in str(raised.value) or words[1] in str(raised.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--listen", "nonsense"],
        ["--listen", "tcp:x"],
        ["--unicast-address", "192.0.2.99"],
        ["--socket-name", "/nowhere/flom.sock"],
        ["--inherit", "999999"],
        ["--inherit", "x"],
        ["--group", "192.0.2.1"],
        ["--group", "no.such.invalid"],
        ["--starter", "999999", "--seat", "999999", "--group", "ff02::1"],
        ["--starter", "999999", "--group", "ff02::1"],
    ],
    ids=" ".join,
)
def test_an_address_that_cannot_be_listened_on_is_one_line(words: list[str]) -> None:
    """The program ends, and the line names the address."""
    with pytest.raises(SystemExit) as raised:
        daemon_from(parse(*words), MemoryReactor())
    assert "\n" not in str(raised.value)
    assert words[1] in str(raised.value) or words[0][2:] in str(raised.value)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--sokcet-name", "/s"], "option --sokcet-name not recognized; did you mean --socket-name?"),
        (["--exlusive"], "option --exlusive not recognized; --help lists all options"),
        (["-s", "/s", "start"], "'start' belongs to no option; --help lists all options"),
    ],
    ids=["like", "unlike", "word"],
)
def test_what_is_no_option_is_told_what_is_like_it(words: list[str], line: str) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(*words)
    assert str(raised.value) == f"twistd flom: {line}"


def test_a_second_daemon_on_one_path_is_told_so(tmp_path: Path) -> None:
    options = parse("--socket-name", str(tmp_path / "flom.sock"))
    first = daemon_from(options, MemoryReactor())
    with pytest.raises(SystemExit, match="another daemon is listening there"):
        daemon_from(options, MemoryReactor())
    del first


# what is made of them


def made(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """Return the parts of the daemon that C{words} describe."""
    parts: dict[str, Any] = {}

    def watch(*arguments: Any, **options: Any) -> Any:
        parts.update(options)
        return build_daemon(*arguments, **options)

    monkeypatch.setattr("flom.tap.build_daemon", watch)
    daemon_from(parse(*words), MemoryReactor())
    return parts


def server_options_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> ServerOptions:
    """Return the options on which the daemon serves clients that C{words} describe."""
    options = made(monkeypatch, *words)["options"]
    assert isinstance(options, ServerOptions)
    return options


def membership_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> Membership | None:
    """Return how the daemon that C{words} describe takes part in its group."""
    membership = made(monkeypatch, *words)["membership"]
    assert membership is None or isinstance(membership, Membership)
    return membership


@pytest.mark.parametrize(("words", "lifespan"), [([], None), (["-d", "-7"], None), (["-d", "700"], 0.7)])
def test_a_lifespan_is_in_milliseconds_and_a_negative_one_never_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], lifespan: float | None
) -> None:
    assert made(monkeypatch, "-s", str(tmp_path / "flom.sock"), *words)["lifespan"] == lifespan


def test_clients_are_served_without_tls_and_may_not_end_the_daemon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Others than the daemon's own user, that is."""
    assert server_options_of(monkeypatch, "-s", str(tmp_path / "flom.sock")) == ServerOptions()


def test_its_user_may_choose_other_terms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["--allow-remote-shutdown", "--tcp-keepalive-time", "7", "--tcp-keepalive-intvl", "3"]
    options = server_options_of(monkeypatch, "-s", str(tmp_path / "flom.sock"), *words)
    assert options == ServerOptions(Keepalive(7, 3, 6), allow_remote_shutdown=True)


def test_its_user_may_set_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["--max-connections", "1", "--max-connections-per-peer", "2", "--max-waiters", "3", "--max-resources", "4"]
    words += ["--max-locks-per-connection", "5", "--max-message-size", "600"]
    words += ["--message-timeout", "700", "--unread-timeout", "800", "--sessions", "required"]
    words += ["--max-overtaking", "9"]
    options = server_options_of(monkeypatch, "-s", str(tmp_path / "flom.sock"), *words)
    limits = Limits(1, 2, 3, 4, 5, 600, 0.7, 0.8, overtaking=9)
    assert options == ServerOptions(limits=limits, sessions_are_required=True)


# in a group


# what it remembers


def test_a_state_directory_is_made_and_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = tmp_path / "state"
    daemon_from(parse("-s", str(tmp_path / "flom.sock"), "--state", str(state)), MemoryReactor())
    assert state.is_dir()


def test_a_broken_file_in_it_ends_the_program_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "epoch").write_text("seven\n")
    tmp_path.chmod(0o700)
    options = parse("-s", str(tmp_path / "flom.sock"), "--state", str(tmp_path))
    with pytest.raises(
        SystemExit, match=f"^twistd flom: state: {tmp_path}/epoch: it is no number from 0 to 2147483647$"
    ):
        daemon_from(options, MemoryReactor())


def test_without_the_option_a_daemon_that_you_start_remembers_nothing(tmp_path: Path) -> None:
    daemon_from(parse("-s", str(tmp_path / "flom.sock")), MemoryReactor())
    assert not (tmp_path / ".state").exists()


def test_a_daemon_that_is_started_for_a_command_does_without_a_broken_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = tmp_path / ".state" / "flom"
    state.mkdir(parents=True, mode=0o700)
    (state / "epoch").write_text("seven\n")
    epochs: list[Epochs] = []

    def note(*arguments: Any, **options: Any) -> DeferredArbiter:
        epochs.append(options["epochs"])
        return DeferredArbiter(*arguments, **options)

    monkeypatch.setattr("flom.tap.DeferredArbiter", note)
    claim = claim_unix(str(tmp_path / "flom.sock"), OPEN)
    daemon_from(parse("--inherit", ",".join(map(str, map(os.dup, claim.descriptors())))), MemoryReactor())
    assert epochs[0].state is None
    assert epochs[0].problem == f"{state}/epoch: it is no number from 0 to 2147483647"
    assert (state / "epoch").read_text() == "seven\n"


def test_without_a_group_it_is_in_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert membership_of(monkeypatch, "--socket-name", str(tmp_path / "flom.sock")) is None


def test_in_a_group_it_stands_by_and_finds_its_seat_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    membership = membership_of(monkeypatch, "--group", "ff02::1%lo", "--port", "28016", "--discovery-ttl", "3")
    assert membership is not None
    assert membership.group == Group("ff02::1", 28016, "lo", 3)
    assert membership.stands_by
    assert (membership.seat, membership.starter) == (None, None)
    assert membership.timing == DEFAULT_TIMING


def test_its_timing_is_told_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--heartbeat", "100", "--leader-timeout", "1000", "--election-time", "250"]
    membership = membership_of(monkeypatch, "--group", "ff02::1", *words)
    assert membership is not None
    assert membership.timing == Timing(heartbeat=0.1, patience=1.0, campaign=0.25)


@pytest.mark.parametrize("group", ["ff02::1", "239.1.1.1"])
def test_without_an_address_it_takes_any_port_and_tells_that(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    membership = membership_of(monkeypatch, "--group", group)
    assert membership is not None
    [(host, _)] = membership.listening.hosts
    assert host == ""
    assert membership.listening.port not in (0, 28015)


def test_an_address_is_told_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--group", "239.1.1.1", "-a", "localhost", "-p", str(free_port())]
    membership = membership_of(monkeypatch, *words)
    assert membership is not None
    assert membership.listening.port == int(words[-1])
    assert membership.listening.hosts[0][0] == "localhost"


def test_of_several_addresses_all_may_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--group", "239.1.1.1", "-a", "127.0.0.1", "-a", "::1", "-a", "127.0.0.2", "-p", str(free_port())]
    membership = membership_of(monkeypatch, *words)
    assert membership is not None
    assert membership.listening.hosts == tuple((host, host) for host in ("127.0.0.1", "::1", "127.0.0.2"))


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_an_address_that_means_all_of_them_is_told_by_the_answer_itself(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    words = ["--group", "239.1.1.1", "-a", address, "-p", str(free_port())]
    membership = membership_of(monkeypatch, *words)
    assert membership is not None
    assert membership.listening == Listening(int(words[-1]), (("", address),))


def test_what_a_runner_has_started_takes_over_its_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.net.host_seat.usable_interfaces", lambda group: [NetworkInterface(1, "lo", 0)])
    seat = take_seat(Group("ff02::1", os.getpid()))
    ours, theirs = socket.socketpair()
    with closing(seat), ours, theirs:
        membership = membership_of(
            monkeypatch,
            *("--group", "ff02::1"),
            *("--seat", str(os.dup(seat.descriptors()[0]))),
            *("--starter", str(os.dup(theirs.fileno()))),
        )
        assert membership is not None
        assert membership.seat is not None
        assert membership.starter is not None
        assert not membership.stands_by
        membership.seat.close()
        membership.starter.close()
