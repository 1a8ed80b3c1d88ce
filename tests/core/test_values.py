"""Values of resources, and when jobs were finished: what is kept, for how long, and what has no room."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.protocol.messages import Note
from flom.core.values import (
    MAX_AGE,
    MAX_KEYS,
    MAX_NAMES,
    MAX_PERIOD,
    Done,
    TooMany,
    ValueOf,
    Values,
    as_fields,
    from_fields,
)

NOON = 1_790_000_000.0
HOUR, DAY = 3600.0, 86_400.0


def finished(key: str = "", period: float = HOUR, by: str = "one") -> Note:
    return Note(key=key, period=period, by=by)


SCRIPT = """
-60   note  backup value=tape7      -> backup
0     ask   backup ''               -> never
0     note  backup key='' by=one    -> backup
0     ask   backup ''               -> 0 by one
600   ask   backup ''               -> 600 by one
600   ask   backup monday           -> never
600   ask   other  ''               -> never
700   note  backup key=monday by=two value=tape8 -> backup
760   ask   backup monday           -> 60 by two
760   ask   backup ''               -> 760 by one
800   note  backup key='' by=three  -> backup
800   ask   backup ''               -> 0 by three
900   note  backup value=           -> backup
"""


def test_the_script() -> None:
    """Seconds after noon, what is asked or noted, and what is known or changes."""
    values = Values()
    for line in SCRIPT.strip().splitlines():
        said, _, expected = line.partition("-> ")
        after, verb, name, *rest = said.split()
        now = NOON + float(after)
        if verb == "ask":
            done = values.last(name, rest[0].strip("'"), now)
            found = "never" if done is None else f"{now - done.at:g} by {done.by}"
        else:
            fields = dict(word.split("=") for word in rest)
            note = Note(fields.get("value"), fields.get("key"), HOUR, fields.get("by", ""))
            if note.key == "''":
                note = note.replace(key="")
            found = " ".join(values.note(name, note, now))
        assert found == expected, line
    assert values.value("backup") == ""
    assert values.value("other") == ""


def test_an_empty_value_is_none_and_nothing_is_kept_of_it() -> None:
    values = Values()
    assert values.note("a", Note(value="x"), NOON) == {"a": ValueOf("x")}
    assert values.note("a", Note(value=""), NOON) == {"a": None}
    assert len(values) == 0


def test_a_clock_that_has_gone_back_counts_a_job_as_finished_now() -> None:
    """It is late by one period at most, however far the clock was ahead."""
    values = Values()
    values.note("a", finished(), NOON + 1000 * DAY)
    assert values.last("a", "", NOON) == Done("", NOON, HOUR, "one")
    assert values.last("a", "", NOON + 60) == Done("", NOON, HOUR, "one")


def test_a_job_is_forgotten_after_25_days() -> None:
    values = Values()
    values.note("a", finished(period=MAX_PERIOD), NOON)
    values.note("b", Note("tape7", "", HOUR, "one"), NOON)
    assert values.last("a", "", NOON + MAX_PERIOD) is not None
    assert values.last("a", "", NOON + MAX_AGE + 1) is None
    assert values.view(NOON + MAX_AGE + 1) == {"b": ValueOf("tape7")}


def test_the_oldest_key_whose_period_is_over_makes_room() -> None:
    values = Values()
    for number in range(MAX_KEYS):
        values.note("a", finished(f"day {number}", period=DAY), NOON + number * DAY / 4)
    now = NOON + MAX_KEYS * DAY / 4
    values.note("a", finished("another"), now)
    assert values.last("a", "day 0", now) is None
    assert values.last("a", "day 1", now) is not None
    [kept] = values.view(now).values()
    assert len(kept.done) == MAX_KEYS


def test_keys_that_are_all_within_their_periods_leave_no_room() -> None:
    """That is said before anything is locked; a key that is there has its room."""
    values = Values()
    for number in range(MAX_KEYS):
        values.note("a", finished(str(number), period=DAY), NOON)
    with pytest.raises(TooMany, match=r"^it has 64 keys within their periods already; others need another resource$"):
        values.check_room("a", "another", NOON)
    with pytest.raises(TooMany):
        values.note("a", Note("tape7", "another", DAY, "one"), NOON)
    assert values.value("a") == ""
    values.check_room("a", "7", NOON)
    values.check_room("a", None, NOON)
    values.check_room("a", "another", NOON + DAY)


def test_resources_of_which_nothing_is_left_make_room_for_others() -> None:
    values = Values()
    for number in range(MAX_NAMES):
        values.note(f"a{number}", finished(), NOON)
    with pytest.raises(TooMany, match=r"^something is kept of 1000 resources already; flomctl value shows them$"):
        values.check_room("b", None, NOON)
    values.check_room("a7", "", NOON)
    later = NOON + MAX_AGE + 1
    values.check_room("b", None, later)
    changes = values.note("b", finished(), later)
    assert changes == {
        **{f"a{number}": None for number in range(MAX_NAMES)},
        "b": ValueOf("", (Done("", later, HOUR, "one"),)),
    }
    assert len(values) == 1


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=16)
dones = st.builds(Done, texts, st.floats(0, 2e9), st.floats(0, MAX_PERIOD), texts)


@given(texts, st.lists(dones, max_size=5, unique_by=lambda done: done.key))
def test_what_is_written_is_read_again(value: str, done: list[Done]) -> None:
    kept = ValueOf(value, tuple(done))
    assert from_fields(**json.loads(json.dumps(as_fields(kept)))) == kept


@pytest.mark.parametrize(
    "fields",
    [
        {"value": "x" * 65, "done": []},
        {"value": 7, "done": []},
        {"value": "", "done": 7},
        {"value": "", "done": [["a", 0.0, 1.0]]},
        {"value": "", "done": [["a", "noon", 1.0, "one"]]},
        {"value": "", "done": [["a", 0.0, -1.0, "one"]]},
        {"value": "", "done": [["a", float("nan"), 1.0, "one"]]},
        {"value": "", "done": [["a", 0.0, 1.0, "one"], ["a", 0.0, 1.0, "one"]]},
        {"value": "", "done": [[str(number), 0.0, 1.0, "one"] for number in range(MAX_KEYS + 1)]},
    ],
)
def test_what_none_of_us_has_written_is_not_read(fields: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_fields(**fields)  # type: ignore[arg-type]


def test_a_value_that_was_kept_by_the_daemon_before_is_there() -> None:
    values = Values()
    values.remember("a", ValueOf("tape7", (Done("", NOON, HOUR, "one"),)))
    assert values.value("a") == "tape7"
    assert values.last("a", "", NOON + 5) == Done("", NOON, HOUR, "one")
