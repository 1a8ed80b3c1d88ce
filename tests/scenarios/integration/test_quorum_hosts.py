"""flom-run -a h1,h2 with real daemons under a quorum; scenarios/quorum has what happens when networks fail."""

from __future__ import annotations

from pathlib import Path

from flom.client.blocking.status import open_status
from flom.config import Config
from tests.fakes.daemon import Daemon
from tests.fakes.etcd import FakeEtcd
from tests.fakes.programs import Programs, free_port


def test_a_lock_goes_from_leader_to_leader(programs: Programs, tmp_path: Path) -> None:
    """The leader ends in good order while one command holds and another one waits: both go on at the next one."""
    port = str(free_port())

    def member(host: str, quorum: str) -> Daemon:
        where = ["--unicast-address", host, "--unicast-port", port, "--state", str(tmp_path / host)]
        return Daemon(*where, "--quorum", quorum, "--fast")

    words = ["-V", "-a", "127.0.0.2,127.0.0.3", "-p", port, "-r", "R"]
    with FakeEtcd() as etcd, member("127.0.0.2", str(etcd.address)) as leader:
        holder = programs.start(*words, "--", "sh", "-c", "echo held; read line; exit 3")
        leader.wait_for_log("leading, epoch")
        with member("127.0.0.3", str(etcd.address)) as standby:
            while "held" not in holder.line():
                pass
            waiter = programs.start(*words, "--", "echo", "ran")
            assert waiter.line().startswith("waiting for R (EX): next in line")
            place = Config(unicast_address="127.0.0.3,127.0.0.2", unicast_port=int(port))
            with open_status(place, lambda text: None) as reader:
                assert [resource.name for resource in reader.read().resources] == ["R"]
            leader.stop()
            standby.wait_for_log("leading, epoch")
            while "R reclaimed" not in holder.line():
                pass
            holder.say("")
            assert holder.finish().returncode == 3
            done = waiter.finish()
            assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ran")
