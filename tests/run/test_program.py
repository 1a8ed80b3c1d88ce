"""
The messages of the command, one by one: what is written where, and what follows
(docs/compatibility.md, "Order of actions", "Messages").

Of the rows of docs/compatibility.md, "Messages", these are elsewhere: what is asked of a multicast group, in
test_runner_group.py; a lock that is gone (C{flom_client_unlock}), answers that are none (C{flom_client_lock}) and the
locked element, in test_runner.py; signals that cannot be ignored, in test_runner_signals.py; failures of TLS, in
test_debug.py and tests/scenarios/tls.

These cannot happen here: C{global_res_name_preg_init}, because there is no regular expression for names that might be
refused; C{Unable to execute command: '}, because SIGCHLD is never ignored, and a process that cannot be made is told of
like a command that cannot be executed; a group that is missing in a file, because all may be.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom._version import __version__
from flom.config import RUNNER, SETTINGS
from flom.net.machine_id import unique_id
from tests.fakes.daemon import BIN, FLOM_RUN_IN_PYTHON, Daemon
from tests.fakes.peers import SocketClient
from tests.fakes.programs import Programs, RunHere, assert_refused, free_port
from tests.fakes.us import by_us

SAME_TIME = (
    "ERROR: flom can not be configured for local (UNIX socket) and network (TCP-UDP/IP) communication at the same time."
)
NOT_FULL = "ERROR: TLS check peer id can not be specified without full TLS configuration."
INVALID = "Configuration is not valid, cannot go on!"
NOT_LOADED = "flom_config_init: ret_cod=-203 ("
NOT_OPENED = "flom_client_connect: ret_cod=-121 (ERROR: 'opendir' function returned an error condition)"
LONG = "x" * 108
FLOM = str(BIN / "flom")

FILES = {
    "integer": "[Resource]\nTimeout=soon\n",
    "name": "[Resource]\nName=_RESOURCE\n",
    "signal": "[Monitor]\nIgnoredSignals=SIGTERM;TERM\n",
    "places": "[Daemon]\nSocketName=/s\nUnicastAddress=host\n",
    "syntax": "[Resource\n",
    "tls": "[TLS]\nTlsCertificate=/no/such\n",
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The directory, C{DIR} below, in which L{FILES} are."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def in_directory(directory: Path, texts: list[str]) -> list[str]:
    return [text.replace("DIR", str(directory)) for text in texts]


# the command line, the lines on stdout, and texts in the one line on stderr; the status is 99
REFUSED = [
    ("--bad", [], ["option parsing failed: Unknown option --bad"]),
    ("-r", [], ["option parsing failed: Missing argument for -r"]),
    ("-o soon", [], ["option parsing failed: ", "'soon'"]),
    ("-o 2147483648", [], ["option parsing failed: ", "'2147483648'"]),
    ("-c DIR/none", ["ERROR: error while loading file 'DIR/none'"], [NOT_LOADED, "no such file"]),
    ("-c DIR", ["ERROR: error while loading file 'DIR'"], [NOT_LOADED, "directory"]),
    ("-c DIR/syntax", ["ERROR: error while loading file 'DIR/syntax'"], [NOT_LOADED, "'[Resource'"]),
    (
        "-c DIR/integer",
        ["[Resource] Timeout='soon' is an invalid value", "ERROR: invalid configuration found in file 'DIR/integer'"],
        ["flom_config_init: ret_cod=-5", "[Resource] Timeout='soon'"],
    ),
    (
        "-c DIR/name",
        ["[Resource] Name='_RESOURCE' is an invalid value", "ERROR: invalid configuration found in file 'DIR/name'"],
        ["flom_config_init: ret_cod=-5", "[Resource] Name='_RESOURCE'"],
    ),
    ("-c DIR/tls", [], ["flom_config_init: ret_cod=-125", "[TLS] TlsCertificate='/no/such'"]),
    (
        "-r _RESOURCE",
        ["ERROR: '_RESOURCE' is a reserved resource name and can not be set by user"],
        ["flom_config_set_resource_name: ret_cod=-14", "'_RESOURCE'"],
    ),
    (
        "-r 1a",
        ["ERROR: '1a' is not a valid name for a resource"],
        ["flom_config_set_resource_name: ret_cod=-14", "'1a'"],
    ),
    ("-l read", [], ["lock-mode: 'read' is an invalid value"]),
    ("-e 1", ["resource-create: '1' is an invalid value"], ["resource-create: '1' is an invalid value"]),
    (f"-s {LONG}", [], [f"socket-name: '{LONG}' is an invalid value", "flom_client_connect: ret_cod=-9 (ERROR: "]),
    ("-m DIR/none", [], ["mount-point-vfs: 'DIR/none' is an invalid value", NOT_OPENED]),
    ("-m DIR/tls", [], ["mount-point-vfs: 'DIR/tls' is an invalid value", NOT_OPENED]),
    ("--tls-certificate DIR/none", [], ["tls-certificate: 'DIR/none' is not a valid value"]),
    ("--tls-private-key DIR/none", [], ["tls-private-key: 'DIR/none' is not a valid value"]),
    ("--tls-ca-certificate DIR/none", [], ["tls-ca-certificate: 'DIR/none' is not a valid value"]),
    ("--tls-check-peer-id 1", ["tls-check-peer-id: '1' is an invalid value"], ["tls-check-peer-id: '1' is an invalid"]),
    ("--append-trace-file 1", [], ["append-trace-file: '1' is an invalid value"]),
    ("-s /s -a host", [SAME_TIME], [INVALID, "socket-name '/s'", "unicast-address 'host'"]),
    ("-s /s -A ff02::1", [SAME_TIME], [INVALID, "socket-name '/s'", "multicast-address 'ff02::1'"]),
    ("-c DIR/places", [SAME_TIME], [INVALID, "socket-name '/s'", "unicast-address 'host'"]),
    ("--tls-check-peer-id yes", [NOT_FULL], [INVALID, "tls-certificate and tls-private-key and tls-ca-certificate"]),
]


@pytest.mark.parametrize(
    ("line", "stdout", "stderr"), REFUSED, ids=[line.replace(LONG, "LONG") for line, _, _ in REFUSED]
)
def test_what_is_wrong_is_told_where_flom_tells_it(
    run_here: RunHere, files: Path, line: str, stdout: list[str], stderr: list[str]
) -> None:
    command = ["--", "echo", "ran"] if " " in line else []
    done = run_here(*in_directory(files, line.split()), *command)
    said = "".join(f"{text}\n" for text in in_directory(files, stdout))
    assert_refused(done, 99, *in_directory(files, stderr), stdout=said)


# the command line, and what stands in the one line on stderr that is no reason to stop
WARNED_OF = [
    ("-q -3", "Resource quantity ignored because negative values (-3) are meaningless"),
    ("--ignore-signal TERM", "ignore-signal: 'TERM' is no signal"),
    ("-c DIR/signal", "DIR/signal: [Monitor] IgnoredSignals: ignore-signal: 'TERM' is no signal"),
    ("--tls-certificate DIR/tls", "TLS is not used, it needs tls-private-key and tls-ca-certificate too"),
]


@pytest.mark.parametrize(("line", "warning"), WARNED_OF, ids=[line for line, _ in WARNED_OF])
def test_what_is_no_reason_to_stop_is_told_in_one_line(run_here: RunHere, files: Path, line: str, warning: str) -> None:
    done = run_here(*in_directory(files, line.split()))
    told, last = done.stderr.splitlines()
    assert in_directory(files, [warning])[0] in told
    assert last == "No command to execute!"
    assert (done.returncode, done.stdout) == (97, "")


# name, and what is said of the lock mode PR and of quantity 2
IGNORED = [
    ("R1", ["resource type 1 does not support quantity; 2 is ignored"]),
    ("N[3]", ["resource type 2 supports only exclusive mode; lock mode PR is ignored"]),
    (
        "a.b",
        [
            "resource type 3 supports only exclusive mode; lock mode PR is ignored",
            "resource type 3 does not support quantity; 2 is ignored",
        ],
    ),
    ("/a/b", ["resource type 4 does not support quantity; 2 is ignored"]),
    (
        "_s_a[1]",
        [
            "resource type 5 supports only exclusive mode; lock mode PR is ignored",
            "resource type 5 does not support quantity; 2 is ignored",
        ],
    ),
    (
        "_t_%S[1]",
        [
            "resource type 6 supports only exclusive mode; lock mode PR is ignored",
            "resource type 6 does not support quantity; 2 is ignored",
        ],
    ),
]

GLIB_WARNING = re.compile(r"\n\*\* \(flom:\d+\): WARNING \*\*: \d\d:\d\d:\d\d\.\d{3}: (.*)\n\n")


@pytest.mark.parametrize(("name", "warnings"), IGNORED, ids=[name for name, _ in IGNORED])
def test_verbose_warns_of_what_the_type_of_the_resource_ignores(
    run_here: RunHere, name: str, warnings: list[str]
) -> None:
    words = ["-r", name, "-l", "PR", "-q", "2"]
    quiet = run_here(*words)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (97, "", "No command to execute!\n")
    verbose = run_here("-V", *words)
    assert GLIB_WARNING.findall(verbose.stderr) == warnings
    assert GLIB_WARNING.sub("", verbose.stderr) == "No command to execute!\n"
    assert {"[Resource]/LockMode=3", "[Resource]/Quantity=2"} <= set(verbose.stdout.splitlines())


def test_verbose_does_not_warn_of_what_has_its_default(run_here: RunHere) -> None:
    assert run_here("-V", "-r", "a.b", "-l", "EX", "-q", "1").stderr == "No command to execute!\n"


# what is of no use


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-r licences[5] -l PR", "lock-mode: 'licences[5]', which is numeric, has no modes; simple and hierarchical"),
        ("-r backup -q 2", "resource-quantity: 'backup', which is simple, has no units; numeric resources"),
        ("-r /a/b -q 2", "resource-quantity: '/a/b', which is hierarchical, has no units"),
        ("-r _s_a[1] -l CR", "lock-mode: '_s_a[1]', which is sequence, has no modes"),
        (
            "-n cmd",
            "network-interface: 'cmd' is for an address or a group, and there is neither; flock's -n is -o 0 here",
        ),
        ("-n 5 -s /s", "network-interface: '5' is for an address or a group"),
        ("-a ::1 -n nosuch0", "network-interface: this host has no 'nosuch0', but "),
        ("-A ff02::1 -n nosuch0", "network-interface: this host has no 'nosuch0', but "),
    ],
)
def test_an_option_without_effect_is_refused(flom_run_here: RunHere, line: str, why: str) -> None:
    assert_refused(flom_run_here(*line.split(), "--", "echo", "ran"), 99, f"flom-run: {why}")


def test_what_a_file_says_may_be_for_other_resources(flom_run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / ".flom").write_text("[Resource]\nLockMode=PR\nQuantity=2\n[Network]\nNetworkInterface=eth0\n")
    for name in ("N[3]", "R1", "/a"):
        assert_refused(flom_run_here("-r", name), 97, "flom-run: no command to execute")
    assert_refused(flom_run_here("-r", "N[3]", "-l", "EX"), 97)
    assert_refused(flom_run_here("-r", "R1", "-q", "1"), 97)


# what flock means by it


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["-w", "5", "lock", "cmd"], "unknown option -w; flock's -w is --timeout here"),
        (["-n", "--", "cmd"], "missing argument for -n, before '--'; flock's -n is -o 0 here"),
        (["-n", "lock", "cmd"], "flock's -n is -o 0 here"),
        (["-x", "lock", "cmd"], "flock's -x is the default here"),
        (["-c", "cmd | cmd"], "cmd | cmd: cannot be loaded: no such file or directory; flock's -c is --shell here"),
        (["-e", "lock", "cmd"], "flock's -e is the default here"),
        (["-o", "lock", "cmd"], "flock's -o is --close here"),
        (["-s", "env", "cmd"], "'env' is taken for no socket, ./env would be; flock's -s is -l PR here"),
        (["-sn", "lock", "cmd"], "'n' is taken for no socket, ./n would be; flock's -s is -l PR here"),
    ],
    ids=" ".join,
)
def test_a_habit_of_flock_s_that_goes_wrong_gets_a_hint(flom_run_here: RunHere, words: list[str], hint: str) -> None:
    assert_refused(flom_run_here(*words), 99, "flom-run: ", hint)


def test_a_configuration_file_that_is_there_is_no_habit_of_flock_s(flom_run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("[Daemon\n")
    done = flom_run_here("-c", str(tmp_path / "conf"), "--", "echo", "ran")
    assert_refused(done, 99, f"{tmp_path / 'conf'}: cannot be loaded: line 1, '[Daemon', is neither a group nor")
    assert "flock" not in done.stderr


def test_a_file_for_flock_is_no_command(programs: Programs, address: str, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    done = programs.run("-s", address, str(tmp_path / "lock"), "echo", "ran")
    assert_refused(done, 97, f"'{tmp_path / 'lock'}': permission denied; if it is to be the lock, -r names that")


def test_a_warning_names_the_program(flom_run_here: RunHere, tmp_path: Path) -> None:
    (tmp_path / ".flom").write_text("[Monitor]\nIgnoredSignals=TERM\n")
    done = flom_run_here("-s", "/s", "--tls-certificate", str(tmp_path / ".flom"))
    warned_of_signal, warned_of_tls, _ = done.stderr.splitlines()
    assert warned_of_signal.startswith(f"flom-run: warning: {tmp_path / '.flom'}: [Monitor] IgnoredSignals: ")
    assert warned_of_tls.startswith("flom-run: warning: TLS is not used, ")


def test_the_configuration_is_shown_if_it_is_asked_for(flom_run_here: RunHere, run_here: RunHere) -> None:
    shown = flom_run_here("--show-config", "-s", "/s", "-o", "5s")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert len(lines) == sum(RUNNER in setting.programs for setting in SETTINGS)
    assert {"[Daemon]/SocketName='/s'", "[Resource]/Timeout=5000"} <= set(lines)
    verbose = flom_run_here("-V")
    assert (verbose.returncode, verbose.stdout) == (97, "")
    assert run_here("-V").stdout.splitlines()[3] == "[Trace]/Verbose=1"


@pytest.mark.parametrize(
    ("options", "status"),
    [([], 98), (["-E", "0"], 0), (["-E", "75"], 75), (["--conflict-exit-code=1"], 1)],
    ids=str,
)
@pytest.mark.usefixtures("held")
def test_the_status_of_a_conflict_can_be_chosen(
    programs: Programs, address: str, options: list[str], status: int
) -> None:
    """With 0, it is no error, and nothing is said."""
    for limit in (["-o", "0"], ["--timeout", "0.1"]):
        done = programs.run("-s", address, "-r", "held", *limit, *options, "--", "echo", "ran")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", int(status != 0))
    other = programs.run("-s", address, "-r", "none", "-e", "no", "-o", "0", *options, "--", "echo", "ran")
    assert other.returncode == 96


def test_a_command_line_of_the_shell_runs_and_gets_the_element(programs: Programs, address: str) -> None:
    words = ["-s", address, "-r", "_s_shell[1]", "--shell", "echo $1 | tr 1 x; exit 3"]
    done = programs.run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (3, "x\n", "")


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("option", ["-Q", "--quiet"])
def test_quietly_the_status_says_all(programs: Programs, address: str, tmp_path: Path, option: str) -> None:
    """A command's own words are its own; what is wrong with the command line is said."""
    for line, status in {
        "-r held -o 0 -- echo ran": 98,
        "-r held --timeout 100ms -- echo ran": 98,
        "-r none -e no -o 0 -- echo ran": 96,
        "-r N[3] -q 4 -- echo ran": 99,
        "-r free -- no-such-command": 97,
        "-r foo.lock -V -- true": 0,
        "-r free --ignore-signal SIGKILL -- true": 0,
    }.items():
        done = programs.run("-s", address, option, *line.split())
        assert (line, done.returncode, done.stdout, done.stderr) == (line, status, "", "")
    lonely = programs.run("-s", str(tmp_path / "none"), "-d", "0", option, "--", "echo", "ran")
    assert (lonely.returncode, lonely.stdout, lonely.stderr) == (99, "", "")
    assert programs.run("-s", address, option, "-r", "free", "echo", "ran").stdout == "ran\n"
    assert_refused(programs.run(option, "-o", "soon", "echo", "ran"), 99, "'soon'")


# what a name means


def test_a_name_with_a_dot_is_warned_of_unless_it_is_meant(programs: Programs, address: str) -> None:
    """Once, and the command runs."""
    words = ["-s", address, "-r", "foo.lock"]
    done = programs.run(*words, "--", "echo", "ran")
    assert (done.returncode, done.stdout) in ((0, "ran foo\n"), (0, "ran lock\n"))
    [line] = done.stderr.splitlines()
    assert line.startswith("flom-run: warning: 'foo.lock' is a set: it lets 2 commands run at once")
    assert "--type set" in line
    assert "'/foo.lock' is one lock" in line
    for meant in (["--type", "set", *words], ["-s", address, "-r", "/foo.lock"]):
        assert programs.run(*meant, "--", "true").stderr == ""
    of_flom = programs.start_program(FLOM, *words, "--", "true").finish()
    assert (of_flom.returncode, of_flom.stderr) == (0, "")


def test_no_more_than_a_name_makes_a_set_is_refused_as_simple(flom_run_here: RunHere) -> None:
    words = ["-r", "db.example.com", "--type", "simple", "--", "echo", "ran"]
    assert_refused(flom_run_here(*words), 99, "flom-run: type: 'db.example.com' is of type set, not simple")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("my-lock", "'my-lock' is no name of a resource: letters and digits, a letter first, or /LEVEL/LEVEL"),
        ("my-lock", "; '/my-lock' is one\n"),
        ("1a", "; '/1a' is one\n"),
        ("a..b", "; '/a..b' is one\n"),
        ("", "resource-name: '' is no name"),
        ("/", "_t_FORMAT[SLOTS]\n"),
        ("_RESOURCE", "'_RESOURCE' is what is locked without a name; leave out the name\n"),
    ],
)
def test_a_bad_name_is_told_the_rule_and_the_way_out(flom_run_here: RunHere, name: str, says: str) -> None:
    assert_refused(flom_run_here("-r", name, "--", "echo", "ran"), 99, "flom-run: resource-name: ", says)


# where the daemon is


def test_a_place_that_is_given_replaces_that_of_the_user_s_file(
    programs: Programs, address: str, tmp_path: Path
) -> None:
    """In both programs; FLoM would refuse a contradiction."""
    path = tmp_path / ".flom"
    named = tmp_path / "named"
    named.write_text(f"[Daemon]\nSocketName={address}\nLifespan=0\n")
    port = free_port()
    with Daemon("--unicast-address", "127.0.0.1", "--unicast-port", str(port)):
        for program in ("flom", "flom-run"):
            path.write_text("[Daemon]\nSocketName=/no/such\nLifespan=0\n")
            words = [str(BIN / program), "-a", "127.0.0.1", "-p", str(port), "--", "echo", "ran"]
            assert programs.start_program(*words).finish().stdout == "ran\n"
            path.write_text("[Daemon]\nUnicastAddress=none.invalid\nLifespan=0\n")
            for given in (["-s", address], ["-c", str(named)]):
                assert (
                    programs.start_program(str(BIN / program), *given, "--", "echo", "ran").finish().stdout == "ran\n"
                )
    for variable, value in {"FLOM_SOCKET": address, "FLOM_CONFIG": str(named)}.items():
        assert programs.run("echo", "ran", environment={variable: value}).stdout == "ran\n"


# where there is a daemon, and where there is none


@pytest.fixture(scope="module")
def held(address: str) -> Iterator[None]:
    """The resource C{held} is locked."""
    with SocketClient(address) as holder:
        holder.ask("held")
        yield


# the command line, the status, and texts in the one line on stderr
AT_A_DAEMON = [
    ("-r held -o 0", 98, ["Resource already locked, the lock cannot be obtained"]),
    ("-r held -o 100", 98, ["The lock was not obtained because timeout (100 milliseconds) expired"]),
    ("-r none -e no -o 0", 96, ["The resource could be available in the future, but the requester can't wait"]),
    ("-r N[3] -q 4", 99, ["Resource will never satisfy the request, the lock cannot be obtained"]),
    ("-r _t_%Y[1]", 99, ["flom_client_lock: ret_cod=-25 (ERROR: format not valid for a timestamp resource)", "'%Y'"]),
    ("-r " + "a" * 400, 99, ["flom_client_lock: ret_cod=-12 (ERROR: ", "too long"]),
    ("-r free -- no-such-command -x", 97, ["Unable to execute command 'no-such-command'"]),
]

# the command line, the status, and the line of flom-run
AT_A_DAEMON_PLAINLY = [
    ("-r held -o 0", 98, f"held: locked by {by_us()} for N s"),
    ("-r held -o 100", 98, f"held: still locked after 0.1 s by {by_us()} for N s"),
    ("-r none -e no -o 0", 96, "none: it does not exist, and is neither to be created (-e no) nor waited for (-o 0)"),
    ("-r N[3] -q 4", 99, "N[3]: 4 wanted (-q), and there are only 3"),
    ("-r _t_%Y[1]", 99, "_t_%Y[1]: nothing in '%Y' changes at least once an hour"),
    ("-r free -- no-such-command -x", 97, "Unable to execute command 'no-such-command': no such file or directory"),
]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(("line", "status", "stderr"), AT_A_DAEMON, ids=[line[:40] for line, _, _ in AT_A_DAEMON])
def test_a_lock_or_a_command_that_cannot_be_had_is_told(
    programs: Programs, address: str, line: str, status: int, stderr: list[str]
) -> None:
    command = [] if "--" in line else ["--", "echo", "ran"]
    done = programs.start_program(FLOM, "-s", address, *line.split(), *command).finish()
    assert_refused(done, status, *stderr)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(("line", "status", "told"), AT_A_DAEMON_PLAINLY, ids=[row[0] for row in AT_A_DAEMON_PLAINLY])
def test_flom_run_names_program_resource_and_holder(
    programs: Programs, address: str, line: str, status: int, told: str
) -> None:
    command = [] if "--" in line else ["--", "echo", "ran"]
    done = programs.run("-s", address, *line.split(), *command)
    assert (done.returncode, done.stdout) == (status, "")
    assert re.sub(r"for \d+ (s|min)", "for N s", done.stderr) == f"flom-run: {told}\n"


# the command line, and texts in the one line on stderr; test_bad_input.py looks at more of what can be in the way
WITHOUT_A_DAEMON = [
    ("-s DIR/none -d 0", ["flom_client_connect: ret_cod=-105 (ERROR: 'connect' function", "DIR/none"]),
    ("-a no..such -d 0", ["flom_client_connect: ret_cod=-110 (ERROR: 'getaddrinfo' function", "no..such"]),
    ("-s DIR/none/s", ["flom_client_connect: ret_cod=-120 (ERROR: 'open' function", "DIR/none/s"]),
    ("-s DIR", ["flom_client_connect: ret_cod=-141 (ERROR: 'unlink' function", "DIR"]),
]


@pytest.mark.parametrize(("line", "stderr"), WITHOUT_A_DAEMON, ids=[line for line, _ in WITHOUT_A_DAEMON])
def test_a_daemon_that_cannot_be_had_is_told(programs: Programs, files: Path, line: str, stderr: list[str]) -> None:
    words = [*in_directory(files, line.split()), "--", "echo", "ran"]
    assert_refused(programs.start_program(FLOM, *words).finish(), 99, *in_directory(files, stderr))
    plainly = programs.run(*words)
    assert_refused(plainly, 99, in_directory(files, stderr)[1])
    assert re.match("flom-run: (?!flom_)", plainly.stderr)
    assert "ret_cod" not in plainly.stderr


SHUTDOWNS = [("-x", "quiesce"), ("-X", "immediate"), ("-Xx", "immediate")]


@pytest.mark.parametrize("program", ["flom", "flom-run"])
def test_keepalive_matters_to_tcp_alone(programs: Programs, tmp_path: Path, program: str) -> None:
    """Neither the client on a UNIX socket nor the daemon that it starts minds values that the kernel would not take."""
    words = ["-s", str(tmp_path / "s"), "-d", "100", "--tcp-keepalive-time=0", "--tcp-keepalive-probes=128"]
    done = programs.start_program(str(BIN / program), *words, "--", "echo", "ran").finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


@pytest.mark.parametrize("option", ["-v", "-x", "-X", "--signal-list", "--unique-id"])
def test_what_runs_no_command_is_refused_beside_one(flom_run_here: RunHere, option: str) -> None:
    assert_refused(flom_run_here(option, "cp", "a", "b"), 99, f"flom-run: {option} is to ", "or 'cp'")


def test_the_command_s_options_are_the_command_s(programs: Programs, address: str) -> None:
    done = programs.run("-s", address, "-r", "first", "printf", "%s\n", "-v", "--help", "-r", "--")
    assert (done.returncode, done.stdout, done.stderr) == (0, "-v\n--help\n-r\n--\n", "")


@pytest.mark.parametrize(("option", "how"), SHUTDOWNS[:2])
def test_a_daemon_that_is_not_there_cannot_be_told_to_end(
    programs: Programs, tmp_path: Path, option: str, how: str
) -> None:
    words = ["-s", str(tmp_path / "s"), option]
    stdout = f"Starting FLoM daemon {how} shutdown...\n"
    done = programs.start_program(FLOM, *words).finish()
    assert_refused(done, 99, "flom_client_connect: ret_cod=-105", stdout=stdout)
    assert_refused(programs.run(*words), 99, f"flom-run: {tmp_path / 's'}: ", stdout=stdout)


@pytest.mark.parametrize(("option", "how"), SHUTDOWNS)
def test_a_daemon_is_ordered_to_end_and_no_command_of_flom_s_runs(
    programs: Programs, daemon: Daemon, option: str, how: str
) -> None:
    words = [FLOM, "-s", daemon.socket, option, "--", "echo", "ran"]
    done = programs.start_program(*words).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Starting FLoM daemon {how} shutdown...\n", "")
    assert daemon.process.wait(30) == 0


# what is printed, and nothing else is done


VERSION = [
    "FLoM: Free Lock Manager",
    "Copyright (c) ",
    "License: ",
    "Package name: flom; package version: 1.7.2; release date: 2024-03-02",
    "TLS supported protocol(s): ",
    "Access https://github.com/tiian/flom for project community activities",
    "Documentation is available at http://www.tiian.org/flom/",
]


@pytest.mark.parametrize("option", ["-v", "--version"])
def test_the_version_has_flom_s_seven_lines_and_one_of_ours(run_here: RunHere, option: str) -> None:
    done = run_here(option)
    *lines, ours = done.stdout.splitlines()
    assert [line[: len(start)] for line, start in zip(lines, VERSION, strict=True)] == VERSION
    assert __version__ in ours
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option", ["-v", "--version"])
def test_the_version_of_flom_run_is_its_own(flom_run_here: RunHere, option: str) -> None:
    done = flom_run_here(option)
    assert done.stdout.startswith(f"flom-run {__version__} ")
    assert (done.returncode, done.stderr) == (0, "")


SIGNALS = (
    "1) SIGHUP\t2) SIGINT\t3) SIGQUIT\t4) SIGILL\t\n"
    "5) SIGTRAP\t6) SIGABRT\t7) SIGBUS\t8) SIGFPE\t\n"
    "9) SIGKILL\t10) SIGUSR1\t11) SIGSEGV\t12) SIGUSR2\t\n"
    "13) SIGPIPE\t14) SIGALRM\t15) SIGTERM\t16) SIGSTKFLT\t\n"
    "17) SIGCHLD\t18) SIGCONT\t19) SIGSTOP\t20) SIGTSTP\t\n"
    "21) SIGTTIN\t22) SIGTTOU\t23) SIGURG\t24) SIGXCPU\t\n"
    "25) SIGXFSZ\t26) SIGVTALRM\t27) SIGPROF\t28) SIGWINCH\t\n"
    "29) SIGIO\t30) SIGPWR\t31) SIGSYS\t\n"
)


def test_the_list_of_signals_has_four_in_a_line(run_here: RunHere) -> None:
    done = run_here("--signal-list")
    assert (done.returncode, done.stdout, done.stderr) == (0, SIGNALS, "")


def test_the_unique_id_is_that_of_the_machine(run_here: RunHere) -> None:
    done = run_here("--unique-id")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{unique_id()}\n", "")
    assert re.fullmatch("[0-9a-f]{32}\n", done.stdout)


@pytest.mark.parametrize("option", ["-h", "-?", "--help", "-Vh"])
def test_the_help_text_has_a_line_for_every_option(run_here: RunHere, option: str) -> None:
    done = run_here("-r", "R1", option, "--bad")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["Usage:", "  flom [OPTION...] [-- command to execute]"]
    assert lines.index("Help Options:") < lines.index("Application Options:")
    for setting in ("-v, --version ", "-c, --config-file ", "--debug-feature "):
        assert len([line for line in lines if line.lstrip().startswith(setting)]) == 1
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("program", ["flom", "flom-run"])
def test_flom_and_flom_run_are_one_program(programs: Programs, program: str) -> None:
    done = programs.start_program(str(BIN / program), "--help").finish()
    assert (done.returncode, done.stderr) == (0, "")
    command = "[-- command to execute]" if program == "flom" else "[--] COMMAND [ARG...]"
    assert done.stdout.startswith(f"Usage:\n  {program} [OPTION...] {command}\n")


# what comes before what


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        (["--signal-list", "--version"], ["FLoM: Free Lock Manager", "1) SIGHUP\t"]),
        (["--unique-id", "--version"], ["FLoM: Free Lock Manager"]),
        (["--unique-id", "--signal-list"], ["1) SIGHUP\t"]),
        (["--unique-id"], [unique_id()]),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("bad", [["-c", "/no/such"], ["-r", "1a"], ["-s", "/s", "-a", "host"]], ids=" ".join)
def test_what_is_printed_comes_before_any_configuration(
    run_here: RunHere, words: list[str], starts: list[str], bad: list[str]
) -> None:
    done = run_here(*words, *bad)
    found = [done.stdout.index(start) for start in starts]
    assert found[0] == 0
    assert found == sorted(found)
    assert (unique_id() in done.stdout) == (words == ["--unique-id"])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_parsing_of_options_comes_before_the_version(run_here: RunHere) -> None:
    assert_refused(run_here("--version", "--bad"), 99, "option parsing failed: Unknown option --bad")


def test_files_come_before_options(run_here: RunHere, files: Path) -> None:
    done = run_here("-r", "1a", "-c", str(files / "integer"))
    assert done.stdout.endswith(f"ERROR: invalid configuration found in file '{files / 'integer'}'\n")


def test_the_verbose_lines_come_before_what_is_wrong_as_a_whole(run_here: RunHere) -> None:
    done = run_here("-V", "-s", "/s", "-a", "host", "-r", "a.b", "-q", "2", "--", "echo", "ran")
    *dump, last = done.stdout.splitlines()
    assert len(dump) == sum(RUNNER in setting.programs for setting in SETTINGS)
    assert last == SAME_TIME
    assert done.stderr.startswith(INVALID)  # and nothing of the quantity
    assert done.returncode == 99


def test_what_is_ignored_comes_before_a_peer_id_that_cannot_be_checked(run_here: RunHere) -> None:
    done = run_here("-V", "-q", "2", "--tls-check-peer-id=yes", "--", "echo", "ran")
    assert GLIB_WARNING.match(done.stderr)
    assert GLIB_WARNING.sub("", done.stderr).startswith(INVALID)
    assert done.stdout.splitlines()[-1] == NOT_FULL


def test_the_verbose_lines_do_not_show_the_socket_that_is_used_without_any(run_here: RunHere) -> None:
    assert "[Daemon]/SocketName=''" in run_here("-V").stdout.splitlines()
    assert "[Daemon]/SocketName='s'" in run_here("-V", "-s", "s").stdout.splitlines()


def test_the_configuration_is_checked_before_a_debug_feature_is_tried(run_here: RunHere) -> None:
    done = run_here("--debug-feature=none", "-s", "/s", "-a", "host")
    assert_refused(done, 99, INVALID, stdout=f"{SAME_TIME}\n")


def test_a_debug_feature_comes_before_a_shutdown_and_takes_no_command(programs: Programs) -> None:
    assert_refused(programs.run("--debug-feature=none", "-x"), 1, "debug-feature: 'none'")


# as a process


@pytest.mark.parametrize("line", ["--signal-list", "-r _RESOURCE -- echo ran", "-V"])
def test_a_process_says_the_same(programs: Programs, run_here: RunHere, line: str) -> None:
    here = run_here(*line.split())
    there = programs.start_program(FLOM, *line.split()).finish()
    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a file of another user")
@pytest.mark.parametrize("program", ["flom", "flom-run"])
def test_a_foreign_file_in_home_has_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    planted, home = tmp_path / "planted", tmp_path / ".flom"
    home.write_text(f"[Trace]\nCommandTraceFile={planted}\n")
    os.chown(home, 65534, 65534)
    done = subprocess.run(
        [BIN / program, "-s", tmp_path / "socket", "-d", "0", "--", "true"],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 99
    assert f"{home}: " in done.stderr
    assert "belongs to uid 65534" in done.stderr
    assert not planted.exists()


@pytest.mark.parametrize("limit", range(5, 14))
def test_too_few_descriptors_are_one_line_that_says_what_to_do(programs: Programs, tmp_path: Path, limit: int) -> None:
    def set_limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    words = [*FLOM_RUN_IN_PYTHON, "-s", str(tmp_path / "s"), "--", "true"]
    done = programs.start_program(*words, first=set_limit).finish()
    assert "internal error" not in done.stderr
    assert (done.returncode, done.stderr.count("\n")) in ((0, 0), (99, 1))
    if done.returncode:
        assert "too many open files" in done.stderr.lower()  # the daemon says it in the words of Python
