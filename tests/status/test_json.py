"""A status as JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flom.errors import RemoteProtocolError
from flom.status.deadlocks import find_deadlocks
from flom.status.json import from_json, json_pieces, to_json
from flom.status.model import DoneStatus, LostStatus, QuorumStatus, ValueStatus
from tests.fakes.status import make_status
from tests.status.test_deadlocks import make_status as deadlocked


def test_what_is_written_can_be_read() -> None:
    status = make_status("R1", "R1", "N[5]", "red.green", "/a/b", "R9", "_S_a[2]")
    assert from_json(to_json(status)) == status
    assert from_json(to_json(status).replace('"resources":', '"more":{},"resources":')) == status


def test_a_daemon_of_0_1_0_that_does_not_say_how_long_it_is_up_is_read() -> None:
    said = json.loads(to_json(make_status("R1")))
    del said["daemon"]["up"]
    daemon = from_json(json.dumps(said)).daemon
    assert daemon.up == daemon.now - daemon.started


def test_an_earlier_daemon_does_not_say_that_it_is_in_grace() -> None:
    said = json.loads(to_json(make_status("R1")))
    del said["daemon"]["grace_left"]
    assert from_json(json.dumps(said)).daemon.grace_left is None


def test_what_is_known_of_a_quorum_can_be_read() -> None:
    etcd = {"https://h1:2379": "", "https://h2:2379": "it does not answer within 2 s"}
    quorum = QuorumStatus("host-a, a1b2", 1.8e9, 7, True, 1.5, ("host-a, a1b2", "host-b, c3d4"), etcd, "")
    status = make_status("R1", quorum=lambda: quorum)
    assert from_json(to_json(status)) == status
    assert from_json(to_json(status)).daemon.quorum == quorum


def test_an_earlier_daemon_does_not_know_of_a_quorum() -> None:
    said = json.loads(to_json(make_status("R1")))
    del said["daemon"]["quorum"]
    assert from_json(json.dumps(said)).daemon.quorum is None


def test_no_process_is_0_for_a_daemon_of_0_1_0() -> None:
    said = json.loads(to_json(make_status("R1")))
    said["resources"][0]["holders"][0]["pid"] = 0
    assert from_json(json.dumps(said)).resources[0].holders[0].pid is None


def test_fields_stand_in_the_order_of_the_document() -> None:
    written = json.loads(to_json(make_status("R1")))
    assert list(written) == ["format", "daemon", "resources", "incubator", "deadlocks", "values"]
    assert written["format"] == 1
    [resource] = written["resources"]
    assert list(resource) == ["number", "name", "type", "seconds", "free", "idle_left", "holders", "waiters", "lost"]
    assert list(resource["holders"][0])[:6] == ["number", "address", "peer_id", "pid", "uid", "name"]


def test_what_lock_delays_keep_can_be_read() -> None:
    status = make_status("R1")
    [resource] = status.resources
    kept = status.replace(resources=(resource.replace(lost=(LostStatus(7, "R1", "EX", None, None, 11.5),)),))
    written = to_json(kept)
    assert from_json(written) == kept
    said = json.loads(written)
    del said["resources"][0]["lost"]
    assert from_json(json.dumps(said)) == status


def test_deadlocks_are_written_by_the_numbers_of_locks() -> None:
    status = deadlocked([(1, "A", "EX"), (2, "B", "EX")], [(1, "B", "EX"), (2, "A", "EX")])
    status = status.replace(deadlocks=find_deadlocks(status))
    written = to_json(status)
    assert json.loads(written)["deadlocks"] == [
        {"steps": [{"waiter": 3, "holder": 2}, {"waiter": 4, "holder": 1}]},
    ]
    assert from_json(written) == status


def test_many_locks_are_written_a_few_at_a_time() -> None:
    status = make_status(*["R1"] * 1200)
    assert max(piece.count('"number"') for piece in json_pieces(status)) == 500
    assert from_json("".join(json_pieces(status))) == status


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"daemon":{}}', '{"daemon":null,"resources":[],"incubator":[]}']
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="no status"):
        from_json(text)


def test_reading_imports_neither_twisted_nor_dataclasses() -> None:
    """C{flom-run -V} reads one while its command waits for the lock."""
    code = "import flom.status.json, flom.status.wording, sys; print({'twisted', 'dataclasses'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_values_are_read_as_they_were_written() -> None:
    done = (DoneStatus("", 3.5, 3600.0, "one"), DoneStatus("monday", 7.0, 86400.0, ""))
    status = make_status("R1").replace(values=(ValueStatus("/a/b", "tape\udcff", done), ValueStatus("c", "", ())))
    assert from_json(to_json(status)) == status


def test_what_is_wanted_at_once_is_read_if_a_daemon_says_it() -> None:
    status = make_status("R1")
    [resource] = status.resources
    waiter = resource.holders[0].replace(beside=("a", "/c/d"))
    status = status.replace(resources=(resource.replace(waiters=(waiter,)),))
    written = to_json(status)
    assert '"beside":["a","/c/d"]' in written
    assert from_json(written) == status
    said = json.loads(written)
    del said["resources"][0]["waiters"][0]["beside"]
    assert from_json(json.dumps(said)).resources[0].waiters[0].beside == ()
