"""C{flomctl -a h1,h2}: the daemon that leads is meant."""

from __future__ import annotations

from tests.ctl.peers import flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.etcd import FakeEtcd
from tests.fakes.programs import Programs, assert_refused, eventually, free_port


def test_the_one_that_leads_is_found_among_several_hosts(programs: Programs) -> None:
    port = str(free_port())
    place = ["-a", "127.0.1.1,127.0.1.2,127.0.1.3", "-p", port]
    with FakeEtcd() as etcd:
        words = ["--unicast-port", port, "--quorum", str(etcd.address)]
        with Daemon("--unicast-address", "127.0.1.2", *words):
            leads = ", leader, "
            eventually(lambda: leads in flomctl(programs, "status", *place).stdout, "it leads")
            with Daemon("--unicast-address", "127.0.1.1", *words):
                told = flomctl(programs, "status", *place).stdout
                assert leads in told
                assert ", standby, " in flomctl(programs, "status", "-a", "127.0.1.1", "-p", port).stdout


def test_while_none_leads_the_first_that_answers_says_why(programs: Programs) -> None:
    port = str(free_port())
    place = ["-a", "127.0.1.1,127.0.1.2", "-p", port]
    assert_refused(flomctl(programs, "status", *place), 1, "flomctl: none of 127.0.1.1,127.0.1.2 leads (127.0.1.1: ")
    with Daemon("--unicast-address", "127.0.1.2", "--unicast-port", port):
        assert flomctl(programs, "status", *place).returncode == 0
        assert_refused(flomctl(programs, "drain", *place), 1, "127.0.1.2: no quorum)")
