"""What C{flomctl doctor} finds out about a quorum."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.ctl.peers import flomctl
from tests.fakes.etcd import FakeEtcd
from tests.fakes.programs import Programs


@pytest.fixture
def etcd() -> Iterator[FakeEtcd]:
    with FakeEtcd(3) as etcd:
        etcd.put("/flom/epoch", b'{"offset": 10}')
        etcd.put("/flom/leader", b'{"leader": "h1", "since": 1, "try": "x"}')
        yield etcd


def examine(programs: Programs, etcd: FakeEtcd, *, members: int = 3) -> tuple[int, list[str]]:
    """Return the status of the doctor, and its lines, without the ports."""
    urls = [member.url for member in etcd.members[:members]]
    done = flomctl(programs, "doctor", "--quorum", f"etcd:{','.join(urls)}")
    assert done.stderr == ""
    told = done.stdout
    for number, url in enumerate(urls, 1):
        told = told.replace(url, f"URL{number}")
    return done.returncode, told.splitlines()


def test_a_quorum_that_is_well_is_fine(programs: Programs, etcd: FakeEtcd) -> None:
    status, lines = examine(programs, etcd)
    assert status == 0
    assert lines[:3] == [
        "ok       members: 3 members named",
        "ok       etcd URL1: version 3.5.1, it knows the leader of etcd",
        "ok       clock of URL1: within 2 s of the clock here",
    ]
    assert lines[-2] == "ok       permissions of /flom: leases; reading, writing and deleting keys"
    assert lines[-1].startswith("ok       leader: h1 leads since ")
    assert etcd.keys() == ["/flom/epoch", "/flom/leader"]


def test_a_member_that_is_down_is_named(programs: Programs, etcd: FakeEtcd) -> None:
    etcd.members[1].close()
    status, lines = examine(programs, etcd)
    assert status == 1
    assert [line for line in lines if line.startswith("failed")] == [
        "failed   etcd URL2: Connection was refused by other side: 111: Connection refused"
    ]
    assert lines[-1].startswith("ok       leader: h1 leads")


def test_one_member_is_too_few(programs: Programs, etcd: FakeEtcd) -> None:
    _, lines = examine(programs, etcd, members=1)
    assert lines[0] == "warning  members: 1 member named: while one of them is down, no daemon leads"


def test_a_prefix_that_we_may_not_write_to_is_named(programs: Programs, etcd: FakeEtcd) -> None:
    etcd.forbidden = "/flom/doctor"
    status, lines = examine(programs, etcd)
    assert status == 1
    failed = [line for line in lines if line.startswith("failed")]
    assert failed == ["failed   permissions of /flom: writing: URL1: etcdserver: permission denied"]


def test_a_halt_is_named_with_what_ends_it(programs: Programs, etcd: FakeEtcd) -> None:
    etcd.put("/flom/halt", json.dumps({"epoch": 500, "why": "etcd has gone back"}).encode())
    status, lines = examine(programs, etcd)
    assert status == 1
    assert lines[-1] == "failed   leader: none begins to lead: etcd has gone back: flomctl epoch --raise ends that"


def test_where_no_daemon_leads_it_fails(programs: Programs, etcd: FakeEtcd) -> None:
    etcd.delete("/flom/leader")
    status, lines = examine(programs, etcd)
    assert (status, lines[-1]) == (1, "failed   leader: no daemon leads")
