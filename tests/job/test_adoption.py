"""What C{flom-run --adopt} makes of its command line; tests/ctl/test_hold.py runs it."""

from __future__ import annotations

import pytest

from flom.config import Config
from flom.core.modes import LockMode
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import HoldTold, Lock, Wishes
from flom.errors import ConfigError, RemoteProtocolError
from flom.job.adoption import Adoption
from flom.job.command_line import parse

HANDLE = f"hold-{'0' * 8}-{'f' * 32}"


def adoption(*words: str) -> Adoption:
    return Adoption(parse([*words, "true"]), Config())


def test_the_request_goes_on_with_the_hold_and_waits_for_nothing() -> None:
    adopted = adoption("--adopt", HANDLE)
    assert adopted.config.resource_name == "hold00000000"
    asked = Lock("hold00000000", LockMode.EX, wait=True, create=True, wishes=Wishes(lineage=("f" * 16,)))
    wished = adopted.wish(asked)
    assert (wished.wait, wished.create) == (False, False)
    assert wished.wishes == Wishes(lineage=("f" * 16,), adopts=HANDLE)


def test_the_lock_of_the_command_is_the_hold_s() -> None:
    adopted = adoption("--adopt", HANDLE)
    hold = HoldTold("", "n[5]", LockMode.NL, 3, 60.0, True)
    config = adopted.adopted(adopted.config, Granted(None, 7, hold=hold))
    assert (config.resource_name, config.quantity) == ("n[5]", 3)
    with pytest.raises(RemoteProtocolError):
        adopted.adopted(adopted.config, Granted(None, 7))


@pytest.mark.parametrize("words", [["-r", "R"], ["-l", "PR"], ["-q", "2"], ["-o", "0"], ["-e", "no"], ["--value", "x"]])
def test_nothing_else_says_what_is_locked(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"^adopt: "):
        adoption("--adopt", HANDLE, *words)
