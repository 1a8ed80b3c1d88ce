"""What a client tells of itself."""

from __future__ import annotations

import os
import pwd

import pytest

from flom.core.protocol.messages import Lock
from flom.job.sender import signed


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/usr/local/bin/nightly-backup", "nightly-backup"),
        ("line\nfeed", "linefeed"),
        ("\udcff\x1b[1m", "[1m"),  # what is no text, and what a terminal would obey
        ("x" * 100, "x" * 40),
    ],
)
def test_a_command_is_told_by_its_name_alone(command: str, told: str) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert signed(Lock("R"), command) == Lock("R", user=user, command=told)


def test_a_user_without_a_name_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    monkeypatch.setattr("sys.argv", ["/srv/app.py", "secret"])
    assert signed(Lock("R")) == Lock("R", command="app.py")
