"""
In a group under a quorum no other daemon leads, though none of its own may (docs/explanation/groups.md, "A quorum").
"""

from __future__ import annotations

from flom.codes import ExitStatus
from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import eventually, name_of
from tests.scenarios.lan.network import GROUP, Lan

pytestmark = needs_network_namespaces

NO_ETCD = ["--quorum", "etcd:http://127.0.0.1:9"]


def test_no_daemon_leads_beside_one_that_has_no_quorum(lan: Lan) -> None:
    """Neither one that a command would start, nor one that was started without the option."""
    guarded, other, client = lan.add_hosts(3)
    member = guarded.join_group(*NO_ETCD)
    member.await_log("FLM003N ready")
    eventually(lambda: name_of(member.pid) == "flom-standby", "a daemon that stands by")
    stranger = other.join_group()
    done = client.flom("-A", GROUP, "-o", "1500", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (ExitStatus.BUSY, "")
    assert not stranger.leads
    assert not member.leads
    listed = client.start(str(BIN / "flomctl"), "discover", "-A", GROUP).finish()
    assert "leader" not in listed.stdout
    assert listed.stdout.count("standby") >= 1
