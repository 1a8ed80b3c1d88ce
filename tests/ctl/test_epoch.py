"""C{flomctl epoch}: the epoch of a quorum, and what raises it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.ctl.peers import flomctl
from tests.fakes.etcd import FakeEtcd
from tests.fakes.programs import Programs, assert_refused


@pytest.fixture
def etcd() -> Iterator[FakeEtcd]:
    with FakeEtcd() as etcd:
        yield etcd


def epoch(programs: Programs, etcd: FakeEtcd, *words: str) -> subprocess.CompletedProcess[str]:
    return flomctl(programs, "epoch", "--quorum", str(etcd.address), *words)


def test_the_next_epoch_is_shown(programs: Programs, etcd: FakeEtcd) -> None:
    assert epoch(programs, etcd).stdout == "no daemon leads\nno daemon has led yet\n"
    etcd.put("/flom/epoch", b'{"offset": 10}')
    done = epoch(programs, etcd)
    assert (done.returncode, done.stderr) == (0, "")
    next_one = f"{etcd.store.revision + 11} or a higher one: revision {etcd.store.revision} of etcd, offset 10"
    assert done.stdout == f"no daemon leads\nthe next leader has epoch {next_one}\n"


def test_after_a_halt_it_is_raised_above_what_was_seen(programs: Programs, etcd: FakeEtcd) -> None:
    etcd.put("/flom/epoch", b'{"offset": 10}')
    etcd.put("/flom/halt", json.dumps({"epoch": 500, "why": "etcd has gone back"}).encode())
    shown = epoch(programs, etcd)
    assert shown.returncode == 1
    halted = "no daemon begins to lead: etcd has gone back (epoch 500 was seen); --raise ends that\n"
    assert shown.stdout == f"no daemon leads\n{halted}"
    assert epoch(programs, etcd, "--raise").stdout == "the next leader has epoch 501 or a higher one\n"
    assert etcd.value("/flom/halt") is None
    assert "epoch 501 or a higher one" in epoch(programs, etcd).stdout.replace("502", "501")
    assert epoch(programs, etcd, "--raise", "--above", "9000").stdout.startswith("the next leader has epoch 9001 ")


def test_what_makes_no_sense_is_one_line(programs: Programs, etcd: FakeEtcd) -> None:
    assert_refused(flomctl(programs, "epoch"), 2, "flomctl: quorum: it is needed")
    assert_refused(epoch(programs, etcd, "--above", "7"), 2, "above: 7 is of use with --raise only")
    assert_refused(epoch(programs, etcd, "--raise", "--above", "-2"), 2, "argument --above")
    etcd.put("/flom/epoch", b"seven")
    assert_refused(epoch(programs, etcd), 1, "/flom/epoch: seven is no offset of epochs")


def test_as_json(programs: Programs, etcd: FakeEtcd) -> None:
    etcd.put("/flom/epoch", b'{"offset": 10}')
    shown = json.loads(epoch(programs, etcd, "--json").stdout)
    assert (shown["format"], shown["leader"], shown["halted"]) == (1, None, None)
    assert shown["next_epoch"] == etcd.store.revision + 11
    assert json.loads(epoch(programs, etcd, "--json", "--raise", "--above", "9000").stdout) == {
        "format": 1,
        "next_epoch": 9001,
    }
    listed = json.loads(flomctl(programs, "discover", "--json", "--quorum", str(etcd.address)).stdout)
    assert (listed["format"], listed["daemons"], listed["quorum"]["leader"]) == (1, [], None)
