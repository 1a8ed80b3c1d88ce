"""The checker of these tests finds what it should, and nothing else."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from flom.core.history.holding import Holding
from tests.fakes.daemon import BIN
from tests.fakes.programs import Programs, eventually
from tests.scenarios.quorum.store import SECOND, History, Job, TokenStore, Write


def history_of(*scripts: str, writes: str = "") -> History:
    """
    Make a history.

    @param scripts: who, when its command has begun and ended, in seconds, and the token: C{"1 10-20 t5"}.
    @param writes: who has written when, and whether that was taken: C{"1@11+ 2@12-"}.
    """
    history = History()
    for script in scripts:
        who, times, token = script.split()
        begin, end = (int(float(time) * SECOND) for time in times.split("-"))
        holding = Holding(int(who), "R1", begin, token=int(token[1:]))
        history.jobs[int(who)] = Job(int(who), holding, end, has_ended=True)
    for word in writes.split():
        who, when = word[:-1].split("@")
        history.writes.append(Write(int(who), int(float(when) * SECOND), word[-1] == "+"))
    return history


@pytest.mark.parametrize(
    ("scripts", "found"),
    [
        (["1 10-20 t5", "2 21-30 t6"], []),
        (["1 10-20 t5", "2 19-30 t6"], ["held beside each other"]),
        (["1 10-20 t5", "2 21-30 t4"], ["tokens did not grow"]),
        (["1 10-20 t5", "2 21-30 t5"], ["tokens did not grow"]),
        (["1 10-20 t0", "2 21-30 t5"], ["no token"]),
    ],
)
def test_it_finds_what_must_not_be(scripts: list[str], found: list[str]) -> None:
    assert list(history_of(*scripts).problems()) == found


def test_a_write_of_an_earlier_holder_is_late() -> None:
    jobs = ["1 10-20 t5", "2 30-40 t6"]
    assert history_of(*jobs, writes="1@11+ 2@31+ 1@32- 2@33+").late_writes() == []
    [(late, other)] = history_of(*jobs, writes="1@11+ 2@31+ 1@32+ 2@33+").late_writes()
    assert (late.who, other.who) == (1, 2)


@pytest.mark.parametrize(
    ("frozen", "writes", "held"),
    [
        ("12-13", "1@11+ 1@14+", "10-20"),
        ("12-42", "1@11+ 1@43+", "10-11"),
        ("12-42", "1@11+ 1@43+ 1@47+", "10-11 47-50"),
        ("60-90", "1@11+", "10-20"),
    ],
)
def test_what_is_frozen_for_long_does_not_hold(frozen: str, writes: str, held: str) -> None:
    last = 50 if "47" in writes else 44 if "43" in writes else 20
    began, ended = (int(time) * SECOND for time in frozen.split("-"))
    found = history_of(f"1 10-{last} t5", writes=writes).holdings({1: [(began, ended)]})
    assert " ".join(f"{each.begin // SECOND}-{each.end // SECOND}" for each in found) == held
    assert all(each.end < inf for each in found)


def test_a_command_writes_and_tells_its_end(tmp_path: Path, programs: Programs) -> None:
    environment = {"FLOM_TOKEN": "7"}
    with TokenStore(tmp_path) as store:
        for who, token in ((1, "7"), (2, "8"), (3, "7")):
            words = store.command(who, "R1", seconds=0.1)
            done = programs.start_program(*words, environment=environment | {"FLOM_TOKEN": token}).finish()
            assert (done.returncode, done.stdout, done.stderr) == (0, "held\nrefused\n" if who == 3 else "held\n", "")
    history = store.history
    eventually(lambda: all(job.has_ended for job in history.jobs.values()), "what the last one has told")
    assert {write.who: write.is_taken for write in history.writes} == {1: True, 2: True, 3: False}
    assert list(history.problems()) == ["tokens did not grow"]


def test_what_is_kept_can_be_checked_by_flomctl(tmp_path: Path, programs: Programs) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text("\n".join(history_of("1 10-20 t5", "2 19-30 t6").lines()))
    done = programs.start_program(str(BIN / "flomctl"), "check", str(kept)).finish()
    assert done.returncode == 1
    assert done.stdout.endswith("4 lines, 2 grants of 1 resources: 1 violation\n")


@pytest.mark.parametrize("manner", ["polite", "stubborn"])
def test_a_command_is_ended(manner: str, tmp_path: Path, programs: Programs) -> None:
    with TokenStore(tmp_path) as store:
        words = store.command(1, "P", seconds=None, is_stubborn=manner == "stubborn")
        running = programs.start_program(*words, environment={"FLOM_TOKEN": "7"})
        assert running.line() == "held"
        running.process.terminate()
        if manner == "stubborn":
            running.process.kill()
        assert running.wait() == (-9 if manner == "stubborn" else 143)
        if manner == "polite":
            eventually(lambda: store.history.jobs[1].has_ended, "what it has told")
    assert store.history.jobs[1].has_ended == (manner == "polite")
