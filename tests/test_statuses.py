"""The table of what statuses mean: nothing is missing, and each text can be read alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flom.codes import ExitStatus
from flom.ctl.output import BAD_USAGE, DEADLOCK, FAILED
from flom.statuses import LOG_IDS, STATUSES, Meaning

ROOT = Path(__file__).parents[1]
MEANINGS = [(program, each) for program, meanings in STATUSES.items() for each in meanings]


def statuses_of(program: str) -> list[int]:
    return [each.status for each in STATUSES[program]]


def test_every_exit_status_has_a_meaning() -> None:
    ours = {*statuses_of("flom-run"), *statuses_of("flomctl fence")}
    assert {int(status) for status in ExitStatus} - ours == set()
    assert {FAILED, BAD_USAGE, DEADLOCK} - set(statuses_of("flomctl")) == set()


@pytest.mark.parametrize("program", STATUSES)
def test_each_status_of_a_program_stands_there_once_and_in_order(program: str) -> None:
    assert statuses_of(program) == sorted(set(statuses_of(program)))
    assert set(statuses_of(program)) <= set(range(256))


@pytest.mark.parametrize(("program", "meaning"), MEANINGS, ids=lambda each: str(getattr(each, "status", each)))
def test_a_meaning_is_made_of_sentences(program: str, meaning: Meaning) -> None:
    for text in (meaning.when, meaning.remedy):
        assert text == text.strip()
        assert not text or text.endswith(".")
        assert text.count("`") % 2 == 0


def test_every_id_of_a_line_in_the_log_has_a_meaning() -> None:
    sources = [path for path in sorted((ROOT / "flom").rglob("*.py")) if path.name != "statuses.py"]
    texts = [path.read_text() for path in (*sources, ROOT / "docs" / "compatibility.md")]
    assert {log_id for text in texts for log_id in re.findall(r"\bFLM\d{3}[A-Z]\b", text)} - set(LOG_IDS) == set()
