"""What is kept at a real etcd goes on under the next leader: holds without a process, values, jobs that are done."""

from __future__ import annotations

import pytest

from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import eventually
from tests.scenarios.quorum import faults
from tests.scenarios.quorum.members import Node, Quorum, needs_etcd

pytestmark = [needs_network_namespaces, needs_etcd]


def control(quorum: Quorum, node: Node, *words: str) -> str:
    """Run C{flomctl} on C{node}, which has to succeed; return what it says."""
    done = node.host.start(str(BIN / "flomctl"), *words, *quorum.place[:4]).finish()
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


@pytest.mark.parametrize("quorum", [{"options": ["--fast", "--status-for", "all"]}], indirect=True)
def test_the_next_leader_has_holds_and_values_and_what_was_done(quorum: Quorum) -> None:
    quorum.start_etcd()
    leader = quorum.start_daemons()
    one, other = quorum.others(leader)
    once = [*quorum.place, "-r", "nightly", "--once-per", "1h", "--value", "x"]
    handle = control(quorum, one, "hold", "R", "--ttl", "10m", "--as", "pipeline")
    assert one.host.flom(*once, "--", "true").returncode == 0

    faults.kill_daemon(quorum, leader)
    quorum.await_leader()

    waiter = other.host.start_job(*quorum.place, "-r", "R", seconds=0)
    again = other.host.flom(*once, "--", "echo", "ran")
    assert (again.returncode, again.stdout) == (92, "")
    read = other.host.flom(*quorum.place, "-r", "nightly", "--read-value", "--", "sh", "-c", "echo $FLOM_VALUE")
    assert read.stdout == "x\n"
    eventually(lambda: "\twaits\t" in control(quorum, other, "status"), "the wait for what is held")
    assert handle.rpartition("-")[0] in control(quorum, other, "status")
    assert control(quorum, other, "renew", handle, "--ttl", "20m") == "R (EX) is held for 20 min from now on"
    assert control(quorum, other, "release", handle) == "R (EX) is released"
    assert waiter.finish().returncode == 0
