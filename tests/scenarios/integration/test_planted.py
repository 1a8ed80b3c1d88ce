"""Files that another user has put in the place of ours, as in /tmp, are neither followed nor waited for."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flom.net.claim import OPEN, PRIVATE, CannotClaim, claim_unix
from flom.tls.authority import CannotIssue, issue, make_authority
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.peers import is_locked
from tests.fakes.pipes import read_line
from tests.fakes.programs import Programs, assert_refused, eventually

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory like /tmp."""
    with tempfile.TemporaryDirectory() as public:
        os.chmod(public, 0o1777)
        yield Path(public)


@pytest.fixture
def precious(public: Path) -> Iterator[Path]:
    """A file that must stay as it is."""
    precious = public / "precious"
    precious.write_text("precious")
    precious.chmod(0o640)
    before = precious.stat()
    yield precious
    after = precious.stat()
    assert precious.read_text() == "precious"
    assert (before.st_mode, before.st_uid, before.st_ino) == (after.st_mode, after.st_uid, after.st_ino)


Plant = Callable[[Path, Path], None]
"""Puts something at the first path; the second is that of a file that must stay as it is."""


def link(at: Path, precious: Path) -> None:
    at.symlink_to(precious)


def dangling_link(at: Path, precious: Path) -> None:
    at.symlink_to(at.with_name("made"))


def link_to_a_directory(at: Path, precious: Path) -> None:
    at.symlink_to(precious.parent)


def hard_link(at: Path, precious: Path) -> None:
    at.hardlink_to(precious)


def fifo(at: Path, precious: Path) -> None:
    os.mkfifo(at, 0o666)


def directory(at: Path, precious: Path) -> None:
    at.mkdir()


each_plant = pytest.mark.parametrize(
    "plant", [link, dangling_link, link_to_a_directory, hard_link, fifo, directory], ids=lambda plant: plant.__name__
)
each_link = pytest.mark.parametrize("plant", [link, dangling_link, link_to_a_directory, fifo, directory])
each_mode = pytest.mark.parametrize("mode", [OPEN, PRIVATE], ids=["open", "private"])


def snapshot(directory: Path) -> dict[str, int]:
    """Return what is in a directory, by name."""
    return {name: (directory / name).lstat().st_ino for name in os.listdir(directory)}


@each_plant
@each_mode
def test_at_the_path_of_a_socket(public: Path, precious: Path, plant: Plant, mode: int) -> None:
    path = public / "flom.sock"
    plant(path, precious)
    before = snapshot(public)
    with pytest.raises(CannotClaim, match="it is no socket"):
        claim_unix(str(path), mode)
    assert snapshot(public) == before


@each_link
@each_mode
def test_at_the_path_of_a_lock_file(public: Path, precious: Path, plant: Plant, mode: int) -> None:
    lock = public / "flom.sock.lock"
    plant(lock, precious)
    before = snapshot(public)
    with pytest.raises(CannotClaim, match=r"flom\.sock\.lock: "):
        claim_unix(str(public / "flom.sock"), mode)
    assert snapshot(public) == before


def test_a_lock_file_that_is_another_name_of_a_file_leaves_that_as_it_is(public: Path, precious: Path) -> None:
    hard_link(public / "flom.sock.lock", precious)
    claim_unix(str(public / "flom.sock"), OPEN).close()


@each_plant
def test_a_daemon_says_so_in_one_line(public: Path, precious: Path, plant: Plant) -> None:
    plant(public / "flom.sock", precious)
    words = [str(BIN / "twistd"), "-n", "--pidfile=", "flom", "-s", str(public / "flom.sock")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert_refused(done, 1, str(public / "flom.sock"), "it is no socket")


@needs_root
def test_the_lock_file_of_a_private_socket_must_not_be_somebody_else_s(public: Path) -> None:
    lock = public / "flom.sock.lock"
    lock.touch()
    os.chown(lock, NOBODY, NOBODY)
    with pytest.raises(CannotClaim, match=f"it belongs to uid {NOBODY}; choose another socket with --socket-name"):
        claim_unix(str(public / "flom.sock"), PRIVATE)
    claim_unix(str(public / "flom.sock"), OPEN).close()  # many users may share this one


def test_a_live_socket_of_another_kind_stays(public: Path) -> None:
    path = str(public / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(CannotClaim, match="is there already"):
            claim_unix(path, OPEN)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"still there", path)
        assert other.recv(99) == b"still there"


@needs_root
def test_a_live_socket_that_we_may_not_connect_to_stays(public: Path) -> None:
    public.chmod(0o777)  # where every user may remove everything
    path = str(public / "flom.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        os.chmod(path, 0o600)
        other.listen()
        os.seteuid(NOBODY)
        try:
            with pytest.raises(CannotClaim, match="is there already: permission denied: it belongs to uid 0, "):
                claim_unix(path, OPEN)
        finally:
            os.seteuid(0)
        assert os.path.exists(path)


def stale_socket(path: Path, owner: int) -> None:
    """Leave a socket and its lock file as a daemon of C{owner} leaves them that was killed."""
    claim = claim_unix(str(path), OPEN)
    claim.socket.close()
    claim.release()
    for left in path, Path(f"{path}.lock"):
        os.chown(left, owner, owner)
    Path(f"{path}.lock").chmod(0o666)


@needs_root
def test_what_another_user_s_daemon_left_names_who_may_remove_it(public: Path) -> None:
    stale_socket(public / "flom.sock", NOBODY)
    os.seteuid(NOBODY - 1)
    try:
        with pytest.raises(CannotClaim) as refused:
            claim_unix(str(public / "flom.sock"), OPEN)
    finally:
        os.seteuid(0)
    assert str(refused.value) == (
        f"{public}/flom.sock: a daemon that has gone left it, operation not permitted: it belongs to uid {NOBODY}, who "
        "may remove it; or choose another socket with --socket-name"
    )


@pytest.fixture
def protected_files() -> Iterator[None]:
    """Has the kernel refuse to "create" another user's file in /tmp, as most systems do."""
    switch = Path("/proc/sys/fs/protected_regular")
    before = switch.read_text()
    switch.write_text("2")
    yield
    switch.write_text(before)


@needs_root
@pytest.mark.usefixtures("protected_files")
def test_root_uses_the_lock_file_that_another_user_s_daemon_left(public: Path) -> None:
    stale_socket(public / "flom.sock", NOBODY)
    claim_unix(str(public / "flom.sock"), OPEN).close()


@needs_root
def test_a_private_socket_is_never_open_to_others(public: Path) -> None:
    """Another user tries all the time, while the socket comes and goes."""
    path = str(public / "flom.sock")
    try_it = (
        "import os, socket, sys\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "print('ready', flush=True)\n"
        "while not os.path.exists(sys.argv[1] + '.over'):\n"
        "    with socket.socket(socket.AF_UNIX) as one:\n"
        "        if one.connect_ex(sys.argv[1]) == 0: print('connected', flush=True)\n"
    )
    stranger = subprocess.Popen([sys.executable, "-c", try_it, path], stdout=subprocess.PIPE, text=True)
    assert read_line(stranger.stdout) == "ready\n"
    mask = os.umask(0)
    try:
        for _ in range(2000):
            claim_unix(path, PRIVATE).close()
    finally:
        os.umask(mask)
        (public / "flom.sock.over").touch()
    assert stranger.communicate(timeout=30)[0] == ""


def test_a_daemon_s_end_leaves_what_took_its_socket_s_place(public: Path, precious: Path) -> None:
    """What another program has put at the path of the socket is not removed."""
    path = public / "flom.sock"
    with Daemon("-s", str(path)) as daemon:
        path.unlink()
        link(path, precious)
        daemon.stop()
    assert path.is_symlink()


def test_even_if_it_is_another_daemon_s(public: Path) -> None:
    path = public / "flom.sock"
    with Daemon("-s", str(path)) as daemon, socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{path}.other")
        other.listen()
        os.rename(f"{path}.other", path)
        daemon.stop()
    assert path.is_socket()


def trace_to(programs: Programs, path: Path) -> str:
    """Run C{flom-run} with a trace to C{path}; return its stderr."""
    return programs.run("-T", str(path), "-d", "0", "-s", str(path.parent / "none"), "--", "true").stderr


@needs_root
@pytest.mark.parametrize("plant", [link, dangling_link])
@pytest.mark.parametrize("mode", [0o1777, 0o777], ids=["sticky", "not sticky"])
def test_a_link_to_a_file_for_a_trace_must_be_ours(
    public: Path, precious: Path, programs: Programs, plant: Plant, mode: int
) -> None:
    public.chmod(mode)
    trace = public / "trace"
    plant(trace, precious)
    os.chown(trace, NOBODY, NOBODY, follow_symlinks=False)
    before = snapshot(public)
    said = trace_to(programs, trace)
    assert f"cannot trace to '{trace}': it is a link that belongs to uid {NOBODY}\n" in said
    assert snapshot(public) == before


def test_our_own_link_is_followed(public: Path, programs: Programs) -> None:
    dangling_link(public / "trace", public)
    trace_to(programs, public / "trace")
    assert "config: " in (public / "made").read_text()


def test_a_pipe_for_a_trace_that_nobody_reads_holds_nobody_up(public: Path, programs: Programs) -> None:
    fifo(public / "trace", public)
    said = trace_to(programs, public / "trace")
    assert f"cannot trace to '{public / 'trace'}': no such device or address" in said


def test_a_pipe_that_is_not_read_ends_the_trace_and_not_the_daemon(public: Path) -> None:
    path = str(public / "s")
    fifo(public / "trace", public)
    reading = os.open(public / "trace", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with Daemon("-s", path, "-t", str(public / "trace")) as daemon:
            assert not is_locked(path, "R1")
            daemon.stop()
        assert b"config: " in os.read(reading, 4096)
    finally:
        os.close(reading)
    assert daemon.log.count("the trace ends here: ") == 1


@each_plant
def test_certificates_replace_nothing(public: Path, precious: Path, plant: Plant) -> None:
    plant(public / "ca.key", precious)
    before = snapshot(public)
    with pytest.raises(CannotIssue, match=r"ca\.key: file exists"):
        make_authority(public, days=1)
    assert snapshot(public) == before


@each_plant
def test_nor_does_one_for_a_host(public: Path, precious: Path, plant: Plant) -> None:
    authority = public / "authority"
    make_authority(authority, days=1)
    plant(authority / "host.pem", precious)
    before = snapshot(authority)
    with pytest.raises(CannotIssue, match=r"host\.pem: file exists"):
        issue(authority, "host", days=1)
    assert snapshot(authority) == before


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
def test_a_pipe_in_the_place_of_an_authority_s_file_is_not_waited_for(public: Path, name: str) -> None:
    make_authority(public / "authority", days=1)
    (public / "authority" / name).unlink()
    os.mkfifo(public / "authority" / name)
    with pytest.raises(CannotIssue, match=f"{name}: it cannot be used"):
        issue(public / "authority", "host", days=1)


def test_keys_are_their_owner_s_alone_from_the_first_moment_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, int, int]] = []

    def note(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        opened.append((os.path.basename(path), flags, mode))
        return real(path, flags, mode, **more)

    real = os.open
    monkeypatch.setattr(os, "open", note)
    make_authority(tmp_path / "authority", days=1)
    [(_, flags, mode)] = [one for one in opened if one[0] == "ca.key"]
    assert flags & os.O_EXCL
    assert mode == 0o600
    assert stat.S_IMODE((tmp_path / "authority").stat().st_mode) == 0o700
    eventually((tmp_path / "authority" / "ca.pem").exists, "the certificate")
