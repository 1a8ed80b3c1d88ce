"""C{flomctl value}: what is kept of resources beyond their holders."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.ctl.peers import flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs, assert_refused


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
