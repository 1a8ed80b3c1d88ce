"""What a command line wants of what is kept with the resource: what is refused, what is asked, what is said."""

from __future__ import annotations

import os

import pytest

from flom.core.modes import EX, PR, PW, LockMode
from flom.core.protocol.messages import Lock, Note, Told, Wishes
from flom.errors import AlreadyDone, ConfigError, InvalidRequest, LockTimeout
from flom.job.command_line import parse
from flom.job.kept import KeptWishes
from tests.fakes.reading import config_of

HOST = os.uname().nodename


def kept(*words: str) -> KeptWishes:
    return KeptWishes(parse(words), config_of(*words))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--once-per", "0"], "once-per: '0' is an invalid value: it is not more than 0"),
        (["--once-per=-1"], "once-per: '-1' is an invalid value: it is negative"),
        (["--once-per", "soon"], "once-per: 'soon' is an invalid value: it is no duration; write 500ms, 5s, 2m, 1h or"),
        (["--once-per", "30d"], "once-per: '30d' is an invalid value: it is more than 24 days"),
        (["--once-per", "9" * 5000], f"once-per: '{'9' * 5000}' is an invalid value: it has more than 100 digits"),
        (["--once-per", "-" + "9" * 5000], f"once-per: '-{'9' * 5000}' is an invalid value: it has more than 100"),
        (["--key", "monday"], "key: it is for --once-per, which is not given"),
        (["--skip-ok"], "skip-ok: it is for --once-per, which is not given"),
        (
            ["--once-per", "1h", "--key", "x" * 65],
            f"key: '{'x' * 65}' is an invalid value: it has 65 bytes, more than 64",
        ),
        (["--value", "x" * 65], f"value: '{'x' * 65}' is an invalid value: it has 65 bytes, more than 64"),
        (["--value", "a\0b"], "value: 'a\0b' is an invalid value: it has a NUL character"),
        (["--once-per", "1h", "-l", "PW"], "once-per: it is for locks of mode EX, not PW (--lock-mode)"),
        (["--value", "x", "-l", "PR"], "value: it is for locks of mode EX or PW, not PR (--lock-mode)"),
        (
            ["--value", "x", "-r", "N[3]"],
            "value: 'N[3]' is of type numeric; it is for simple and hierarchical resources",
        ),
        (
            ["--read-value", "-r", "a.b"],
            "read-value: 'a.b' is of type set; it is for simple and hierarchical resources",
        ),
        (["--once-per", "1h", "-r", "_s_q[1]"], "once-per: '_s_q[1]' is of type sequence; it is for simple"),
        (["--value", "x", "-r", "R" * 350], f"value: the name of the resource, '{'R' * 350}', is too long for it"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused_in_one_line(words: list[str], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kept(*words)
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize(
    ("words", "wishes", "note"),
    [
        (["--once-per", "90m"], Wishes(value=True, key=""), Note(None, "", 5400.0, HOST)),
        (["--once-per", "1", "--key", "ü"], Wishes(value=True, key="ü"), Note(None, "ü", 1.0, HOST)),
        (["--once-per", "1h", "--value", "x"], Wishes(value=True, key=""), Note("x", "", 3600.0, HOST)),
        (["--value", "", "-l", "PW"], Wishes(value=True), Note("")),
        (["--read-value", "-l", "CR"], Wishes(value=True), None),
    ],
)
def test_what_is_asked_and_noted(words: list[str], wishes: Wishes, note: Note | None) -> None:
    wanted = kept(*words)
    assert wanted.wish(Lock("R1")).wishes == wishes
    assert wanted.note() == note


@pytest.mark.parametrize(
    ("words", "mode", "note"),
    [
        (["--value", "x"], EX, Note("y")),
        (["--read-value", "-l", "PR"], PW, Note("y")),
        (["--once-per", "1h", "--key", "k"], EX, Note("y", "k", 3600.0, HOST)),
    ],
)
def test_the_command_may_set_another_value(words: list[str], mode: LockMode, note: Note) -> None:
    wanted = kept(*words)
    wanted.set_value("R1", "y", mode)
    assert wanted.note() == note


@pytest.mark.parametrize(
    ("name", "text", "mode", "why"),
    [
        ("R1", "y", PR, "R1: the value can be set in mode EX or PW, not PR"),
        ("R1", "y" * 65, EX, f"R1: value {'y' * 65!r} has 65 bytes, more than 64"),
        ("R" * 250, "y" * 64, EX, f"{'R' * 250}: the name of the resource is too long for a value"),
    ],
)
def test_another_value_that_cannot_be_changes_nothing(name: str, text: str, mode: LockMode, why: str) -> None:
    """The third one would be kept alone, but not together with the job."""
    wanted = kept("--once-per", "1h", "--key", "k" * 64, "--value", "x")
    with pytest.raises(InvalidRequest) as caught:
        wanted.set_value(name, text, mode)
    assert str(caught.value) == why
    assert wanted.note() == Note("x", "k" * 64, 3600.0, HOST)


def test_other_wishes_stay() -> None:
    hinted = Lock("R1", wishes=Wishes(nested="share", max_hold=3.0))
    assert kept("--read-value").wish(hinted).wishes == Wishes(nested="share", max_hold=3.0, value=True)


@pytest.mark.parametrize("told", [Told(), Told("tape7"), Told("", 3600.0, "one"), Told("", 1e9)])
def test_a_job_that_is_due_is_run(told: Told) -> None:
    assert kept("--once-per", "1h").why_done("R1", told) is None


@pytest.mark.parametrize(
    ("words", "told", "first", "last"),
    [
        (
            ["--once-per", "1h"],
            Told("", 0.0, "one"),
            "R1: done by one 0 s ago, at ",
            "; it is not run again within 1 h",
        ),
        (["--once-per", "1d"], Told("", 3700.0), "R1: done 1 h ago, at ", "; it is not run again within 1 d"),
        (
            ["--once-per", "90m", "--key", "monday"],
            Told("", 150.0, "one"),
            "R1: monday: done by one 2 min ago, at ",
            "; it is not run again within 90 min",
        ),
        (["--once-per", "1500ms"], Told("", 1.4, "one"), "R1: done by one 1 s ago, at ", " within 1.5 s"),
    ],
)
def test_a_job_that_was_done_is_told_of(words: list[str], told: Told, first: str, last: str) -> None:
    wanted = kept(*words)
    done = wanted.why_done("R1", told)
    assert done is not None
    assert str(done).startswith(first)
    assert str(done).endswith(last)
    assert not wanted.skips(done)


def test_that_it_was_done_may_be_no_news() -> None:
    wanted = kept("--once-per", "1h", "--skip-ok")
    assert wanted.skips(AlreadyDone(""))
    assert not wanted.skips(LockTimeout(""))


def test_a_value_alone_keeps_nothing_from_running() -> None:
    assert kept("--value", "x").why_done("R1", Told("y", 0.0, "one")) is None


def test_a_job_of_which_nothing_is_told_is_not_run() -> None:
    why = kept("--once-per", "1h").why_done("R1", None)
    assert str(why) == "R1: the daemon has not told whether the job was done, so it is not run"
    assert kept("--value", "x").why_done("R1", None) is None
