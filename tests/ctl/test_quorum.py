"""What C{flomctl} asks etcd: where it is, and who leads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.ctl.quorum import Lead, spell_lead
from flom.server.quorum.offset import Bounds
from tests.ctl.peers import flomctl
from tests.fakes.etcd import FakeEtcd
from tests.fakes.programs import Programs, assert_refused

BOUNDS = Bounds(7, 10, 3, None, 0)


@pytest.fixture
def etcd() -> Iterator[FakeEtcd]:
    with FakeEtcd(3) as etcd:
        yield etcd


def discover(programs: Programs, etcd: FakeEtcd, *words: str) -> subprocess.CompletedProcess[str]:
    return flomctl(programs, "discover", "--quorum", str(etcd.address), *words)


def lead(etcd: FakeEtcd) -> None:
    etcd.put("/flom/epoch", b'{"offset": 10}')
    etcd.put("/flom/leader", json.dumps({"leader": "h1, pid 7", "since": 1764417600, "try": "x"}).encode())


def test_a_lead_is_one_line() -> None:
    assert spell_lead(Lead("", 0.0, 0, 0, (), BOUNDS)) == "no daemon leads"
    assert spell_lead(Lead("h1", 0.0, 12, 3, (), BOUNDS)) == "h1 leads, epoch 12, lease for 3 s"


def test_who_leads_is_found_out(programs: Programs, etcd: FakeEtcd) -> None:
    lead(etcd)
    etcd.put("/flom/members/a", b"h2, pid 8")
    etcd.put("/flom/members/b", b"h1, pid 7")
    done = discover(programs, etcd)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"# {etcd.address}: h1, pid 7 leads since 2025-11-29 ")
    assert done.stdout.endswith(", epoch 13, lease for 0 s\n# standby: h2, pid 8\n")


def test_while_no_daemon_leads_the_status_says_so(programs: Programs, etcd: FakeEtcd) -> None:
    done = discover(programs, etcd)
    assert (done.returncode, done.stdout) == (1, f"# {etcd.address}: no daemon leads\n")


def test_the_quorum_may_come_from_a_file(programs: Programs, etcd: FakeEtcd, tmp_path: Path) -> None:
    lead(etcd)
    (tmp_path / "conf").write_text(f"[Quorum]\nQuorum={etcd.address}\n")
    assert flomctl(programs, "discover", "-c", str(tmp_path / "conf")).returncode == 0


def test_what_makes_no_sense_is_one_line(programs: Programs, etcd: FakeEtcd) -> None:
    assert_refused(flomctl(programs, "discover"), 2, "the group (-A) or the quorum (--quorum, or -c FILE) is needed")
    assert_refused(flomctl(programs, "discover", "--quorum", "consul:x"), 2, "quorum: 'consul:x'")
    assert_refused(discover(programs, etcd, "--quorum-user", "u"), 2, "quorum-user")
    for member in etcd.members:
        member.close()
    assert_refused(discover(programs, etcd), 1, f"flomctl: {etcd.members[0].url}: ")
