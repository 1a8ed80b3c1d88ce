"""What the file system shows, to ordinary programs (docs/compatibility.md, "File system")."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flom.client.blocking.status import open_status
from flom.codes import Outcome
from flom.config import Config
from flom.core.modes import LockMode
from flom.status.json import from_json
from flom.status.model import Status
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.mounts import Person, contents, listed, mount_at, needs_fuse, read, run, shape
from tests.fakes.programs import eventually

pytestmark = needs_fuse

Ask = Callable[..., Person]

NOTHING = ["incubator", "lockers"]


def wait_until_shown(status: Path, *entries: str) -> None:
    """Wait until nothing else is shown than C{entries}, with C{N} for the numbers."""
    eventually(lambda: shape(status) == sorted(entries), f"a tree of {entries}")


def test_a_daemon_that_holds_nothing_shows_two_empty_directories(showing: Daemon, place: Path) -> None:
    assert listed(place) == ["status.json", "status/incubator", "status/lockers"]


# what is asked for, and the file that tells what its holder has
HELD = [
    ("R1", {}, "simple", {"lock_mode": "Exclusive"}),
    ("R1", {"mode": LockMode.NL}, "simple", {"lock_mode": "NullLock"}),
    ("R1", {"mode": LockMode.CR}, "simple", {"lock_mode": "ConcurrentRead"}),
    ("R1", {"mode": LockMode.CW}, "simple", {"lock_mode": "ConcurrentWrite"}),
    ("R1", {"mode": LockMode.PR}, "simple", {"lock_mode": "ProtectedRead"}),
    ("R1", {"mode": LockMode.PW}, "simple", {"lock_mode": "ProtectedWrite"}),
    ("N[5]", {"quantity": 3}, "numeric", {"quantity": "3\n"}),
    ("red.green.blue", {}, "set", {}),
    ("/a/b c/ü", {"mode": LockMode.PR}, "hierarchical", {"lock_mode": "ProtectedRead"}),
    ("_s_a[1]", {}, "sequence", {"sequence_value": "1\n"}),
]


@pytest.mark.parametrize(("name", "options", "kind", "value"), HELD, ids=[f"{n} {o}" for n, o, _, _ in HELD])
def test_a_holder_is_shown_with_what_it_has(
    ask: Ask, place: Path, name: str, options: dict[str, object], kind: str, value: dict[str, str]
) -> None:
    ask(name, **options)
    lockers = place / "status" / "lockers"
    eventually(lambda: listed(lockers), "a locker")
    assert contents(lockers) == {
        "N/resource_name": f"{name}\n",
        "N/resource_type": f"{kind}\n",
        "N/holders/N/peer_name": "localhost/\n",
        **{f"N/holders/N/{file}": text for file, text in value.items()},
    }
    assert "N/waitings" in shape(lockers)


def test_the_holder_of_a_timestamp_is_shown_with_it(ask: Ask, place: Path) -> None:
    ask("_t_%Y#ffffff[1]")
    lockers = place / "status" / "lockers"
    eventually(lambda: listed(lockers), "a locker")
    held = contents(lockers)
    assert held["N/resource_type"] == "timestamp\n"
    assert re.fullmatch(r"[0-9]{4}\.[0-9]{6}\n", held["N/holders/N/timestamp_value"])


def test_a_peer_on_tcp_is_shown_by_its_address_and_port(place: Path) -> None:
    arguments = ["--listen", "tcp:0:interface=127.0.0.1", "-m", str(place)]
    with Daemon(*arguments, ready="FLM022I mounted at") as daemon:
        found = re.search(r"listening on .*127\.0\.0\.1\D+([0-9]+)", daemon.log)
        assert found is not None
        command = ["sh", "-c", f"cat {place}/status/lockers/*/holders/*/peer_name"]
        done = run(FLOM_RUN, "-a", "127.0.0.1", "-p", found[1], "--", *command)
    assert re.fullmatch(r"127\.0\.0\.1/[0-9]+\n", done.stdout), done


def test_numbers_count_people_and_resources_alike_beginning_with_2(ask: Ask, place: Path) -> None:
    ask("R1")
    ask("R1")
    ask("R2")
    eventually(lambda: len(list(place.glob("status/lockers/*/[hw]*/*"))) == 3, "three people")
    numbers = [word for path in listed(place / "status") for word in path.split("/") if word.isdigit()]
    assert sorted({int(number) for number in numbers}) == [2, 3, 4, 5, 6]


def test_a_waiter_moves_to_the_holders_and_both_vanish(ask: Ask, place: Path) -> None:
    status = place / "status"
    resource = ["lockers/N/resource_name", "lockers/N/resource_type"]
    first = ask("R1")
    second = ask("R1")
    assert (first.answer, second.answer) == (Outcome.GRANTED, Outcome.QUEUED)
    holder = ["lockers/N/holders/N/peer_name", "lockers/N/holders/N/lock_mode"]
    wait_until_shown(status, "incubator", *resource, *holder, "lockers/N/waitings/N/peer_name")
    [waiting] = status.glob("lockers/*/waitings/*")
    inode = waiting.stat().st_ino

    first.unlock()
    assert second.next() == Outcome.GRANTED
    wait_until_shown(status, "incubator", *resource, *holder, "lockers/N/waitings")
    [holding] = status.glob("lockers/*/holders/*")
    assert (holding.name, holding.stat().st_ino) == (waiting.name, inode)

    first.close()
    second.close()
    wait_until_shown(status, *NOTHING)


def test_a_resource_that_is_remembered_stays_without_clients(ask: Ask, place: Path) -> None:
    ask("R1", lifespan=60.0).close()
    idle = [f"lockers/N/{name}" for name in ("resource_name", "resource_type", "holders", "waitings")]
    wait_until_shown(place / "status", "incubator", *idle)


def test_an_incubating_client_is_shown_until_it_leaves(ask: Ask, place: Path) -> None:
    """It is left there for ever by FLoM (docs/compatibility.md, "The file system keeps a client that has left")."""
    status = place / "status"
    waiter = ask("N[5]", create=False)
    assert waiter.answer == Outcome.AWAITING_CREATION
    eventually(lambda: listed(status / "incubator"), "a client in the incubator")
    assert contents(status / "incubator") == {
        "N/peer_name": "localhost/\n",
        "N/resource_name": "N[5]\n",
        "N/resource_type": "numeric\n",
    }
    waiter.close()
    wait_until_shown(status, *NOTHING)


def test_a_client_leaves_the_incubator_when_the_resource_is_created(ask: Ask, place: Path) -> None:
    waiter = ask("R1", create=False)
    eventually(lambda: listed(place / "status/incubator"), "a client in the incubator")
    ask("R1")
    waiter.next()
    eventually(lambda: not listed(place / "status/incubator"), "an empty incubator")
    assert len(list(place.glob("status/lockers/*/[hw]*/*"))) == 2


def test_files_have_the_right_sizes_modes_owners_and_times(ask: Ask, place: Path) -> None:
    before = int(time.time())
    ask("R1")
    ask("R1")
    eventually(lambda: len(shape(place / "status/lockers")) == 5, "a locker")
    owner = (os.geteuid(), os.getegid())
    for path in [place, *place.rglob("*")]:
        if path.name == "status.json":
            continue  # grows while we look
        found = path.stat()
        assert (found.st_uid, found.st_gid) == owner
        if stat.S_ISDIR(found.st_mode):
            assert stat.filemode(found.st_mode) == "dr-xr-x---"
        else:
            assert stat.filemode(found.st_mode) == "-r--r-----"
            assert found.st_size == len(read(path).encode())
            assert before - 1 <= found.st_ctime <= found.st_mtime <= time.time() + 1
            assert found.st_mtime_ns % 10**9 == 0
    assert "9" in run("ls", "-l", str(next(place.glob("status/lockers/*/holders/*/lock_mode")))).stdout.split()


def test_no_two_files_have_the_same_inode_and_find_agrees_with_the_listing(ask: Ask, place: Path) -> None:
    for name in ("R1", "R1", "N[5]", "/a/b"):
        ask(name)
    eventually(lambda: len(list(place.glob("status/lockers/*"))) == 3, "three lockers")
    shown = run("find", str(place), "-mindepth", "1", "-printf", "%i %p\n").stdout.splitlines()
    inodes = dict(line.split(" ", 1) for line in shown)
    assert len(inodes) == len(shown)
    for inode, path in inodes.items():
        assert run("stat", "-c", "%i", path).stdout.strip() == inode


@pytest.mark.parametrize(
    "words",
    [
        ["touch", "new"],
        ["touch", "status.json"],
        ["mkdir", "new"],
        ["rm", "-f", "status.json"],
        ["rmdir", "status"],
        ["mv", "status.json", "other.json"],
        ["chmod", "777", "status.json"],
        ["chown", "1", "status.json"],
        ["ln", "-s", "status.json", "link"],
        ["truncate", "-s", "0", "status.json"],
        ["sh", "-c", "echo > status.json"],
    ],
    ids=" ".join,
)
def test_nothing_can_be_changed(showing: Daemon, place: Path, words: list[str]) -> None:
    before = listed(place)
    done = subprocess.run(
        words, cwd=place, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}, timeout=60
    )
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr
    assert listed(place) == before


def test_what_is_not_there_cannot_be_read(showing: Daemon, place: Path) -> None:
    assert "No such file or directory" in run("cat", str(place / "status/lockers/7/resource_name")).stderr
    assert "Not a directory" in run("cat", str(place / "status.json/x")).stderr
    assert "Is a directory" in run("cat", str(place / "status")).stderr


def test_status_json_is_what_every_client_is_told(ask: Ask, showing: Daemon, place: Path) -> None:
    for name in ("R1", "R1", "N[5]", "/a/b"):
        ask(name)

    def told() -> Status:
        with open_status(Config(socket_name=showing.socket), print) as reader:
            return timeless(reader.read(), but_for_us=1)

    eventually(lambda: timeless(from_json(read(place / "status.json"))) == told(), "the same status")


def timeless(status: Status, but_for_us: int = 0) -> Status:
    """Leave out what changes without anything happening, and the questions for it."""
    resources = tuple(
        resource.replace(
            seconds=0.0,
            holders=tuple(lock.replace(seconds=0.0) for lock in resource.holders),
            waiters=tuple(lock.replace(seconds=0.0) for lock in resource.waiters),
        )
        for resource in status.resources
    )
    counts = status.daemon.counts.replace(refused={}, connections=0)
    connected = status.daemon.connected - but_for_us
    return status.replace(
        daemon=status.daemon.replace(now=0.0, up=0.0, grants_per_second=0.0, counts=counts, connected=connected),
        resources=resources,
    )


def test_a_file_that_is_read_in_pieces_is_of_one_moment(ask: Ask, place: Path) -> None:
    for number in range(200):
        ask(f"R{number}")
    file = place / "status.json"
    with open(file, "rb", buffering=0) as opened:
        first = opened.read(100)
        ask("N[5]")
        eventually(lambda: "N[5]" in read(file), "a newer file")
        whole = first
        while piece := opened.read(4096):
            whole += piece
    assert "N[5]" not in {resource.name for resource in from_json(whole).resources}
    assert run("tail", "-c", "3", str(file)).stdout == "]}\n"


def test_it_is_mounted_as_flom_does_for_its_user_only(showing: Daemon, place: Path) -> None:
    line = mount_at(place)
    assert line is not None
    assert " - fuse.flom flom ro," in line
    assert "allow_other" not in line
