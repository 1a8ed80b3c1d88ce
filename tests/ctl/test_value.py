"""C{flomctl value}: what is kept of resources beyond their holders."""

from __future__ import annotations

import json
import os
from pathlib import Path

from flom.codes import Outcome
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Answer, StatusFollows, StatusRequest
from flom.net.machine_id import unique_id
from flom.status.json import to_json
from tests.ctl.peers import FLOMCTL, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, assert_refused
from tests.fakes.status import make_status


def test_nothing_is_kept(programs: Programs, daemon: Daemon) -> None:
    done = flomctl(programs, "value", "-s", daemon.socket)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no values\n", "")
    done = flomctl(programs, "value", "-s", daemon.socket, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"format": 1, "values": []})
    done = flomctl(programs, "value", "-s", daemon.socket, "R*")
    assert_refused(done, 1, "flomctl: nothing is kept of a resource that matches 'R*'")


def test_what_is_kept_is_told_in_words_and_as_json(programs: Programs, tmp_path: Path) -> None:
    """Also that of a resource that nobody uses, and of those that a pattern matches."""
    host, socket = os.uname().nodename, str(tmp_path / "s")
    with Daemon("--socket-name", socket, "--state", str(tmp_path / "state")):
        for words in (
            ["-r", "backup", "--once-per", "1h"],
            ["-r", "backup", "--once-per", "1d", "--key", "monday"],
            ["-r", "/tape/a", "--value", "a\tb"],
        ):
            assert programs.run("-s", socket, *words, "--", "true").returncode == 0
        lines = flomctl(programs, "value", "-s", socket).stdout.splitlines()
        tape, backup, monday, only = lines
        assert (tape, backup) == ("/tape/a  a\\tb", "backup")
        assert monday.startswith("  monday: done 0 s ago, at 20")
        assert only.startswith("  done 0 s ago, at 20")
        assert only.endswith(f", by {host}")
        assert flomctl(programs, "value", "-s", socket, "/t*").stdout.splitlines() == [tape]
        [value] = json.loads(flomctl(programs, "value", "-s", socket, "--json", "backup").stdout)["values"]
        assert (value["name"], value["value"]) == ("backup", "")
        assert [(done["key"], done["period"], done["by"]) for done in value["done"]] == [
            ("", 3600.0, host),
            ("monday", 86400.0, host),
        ]
        assert all(0 <= done["seconds"] < 20 for done in value["done"])
        status = json.loads(flomctl(programs, "status", "-s", socket, "--json", "backup").stdout)
        assert status["values"] == [value | {"done": status["values"][0]["done"]}]


def test_an_older_daemon_keeps_none(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    running = programs.start_program(FLOMCTL, "value", "-s", str(tmp_path / "fake.sock"))
    conversation, _ = fake.accept()
    conversation.send(encode(Answer(16, Outcome.CANNOT_WAIT, peer_id=unique_id(), extended=True)))
    assert isinstance(conversation.read(), StatusRequest)
    status = json.loads(to_json(make_status("R1")))
    del status["values"]
    data = json.dumps(status).encode()
    conversation.send(encode(StatusFollows(len(data))) + data)
    assert_refused(running.finish(), 1, "flomctl: the daemon is an older one (flom ", "), which keeps no values")
