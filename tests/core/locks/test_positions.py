"""Sequences with a lifespan go on where they were when the daemon starts again."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.script import Script, check

SCRIPTS: Final = {
    "a sequence with a lifespan goes on, one without begins again": """
        1 lock _s_a[2] lifespan=9   -> granted 1
        1 unlock _s_a[2]            -> nothing
        1 lock _s_a[2]              -> granted 2
        2 lock _s_b[2]              -> granted 1
        daemon ends                 -> nothing
        1 lock _s_a[2]              -> granted 3
        2 lock _s_b[2]              -> granted 1
    """,
    "a daemon that was killed leaves out what it had remembered at once": """
        1 lock _s_a[2] lifespan=9   -> granted 1
        daemon dies                 -> nothing
        1 lock _s_a[2]              -> granted 101
        daemon dies                 -> nothing
        1 lock _s_a[2] had=101      -> granted 101
        2 lock _s_a[2]              -> granted 201
        daemon ends                 -> nothing
        1 lock _s_a[2]              -> granted 202
    """,
    "a transactional one loses no rollback, and leaves nothing out": """
        1 lock _S_a[4] lifespan=9   -> granted 1
        2 lock _S_a[4]              -> granted 2
        3 lock _S_a[4]              -> granted 3
        2 unlock _S_a[4] rollback   -> nothing
        daemon dies                 -> nothing
        1 lock _S_a[4] had=1        -> granted 1
        2 lock _S_a[4]              -> granted 2
        4 lock _S_a[4]              -> granted 4
        daemon dies                 -> nothing
        4 lock _S_a[4] had=4        -> granted 4
        4 unlock _S_a[4] rollback   -> nothing
        2 lock _S_a[4] had=2        -> granted 2
        4 lock _S_a[4]              -> granted 4
    """,
    "what was rolled back and is held all the same is not given to another": """
        1 lock _S_a[4] lifespan=9   -> granted 1
        1 drop                      -> nothing
        daemon dies                 -> nothing
        1 lock _S_a[4] had=1        -> granted 1
        2 lock _S_a[4]              -> granted 2
    """,
    "it is forgotten once it was idle for its lifespan, which begins again with the daemon": """
        1 lock _s_a[1] lifespan=9   -> granted 1
        1 drop                      -> nothing
        after 9                     -> nothing
        daemon ends                 -> nothing
        after 9.9                   -> nothing
        1 lock _s_a[1]              -> granted 2
        1 drop                      -> nothing
        after 10                    -> nothing
        daemon ends                 -> nothing
        1 lock _s_a[1]              -> granted 1
    """,
    "it exists, so it need not be created": """
        1 lock _s_a[1] lifespan=9   -> granted 1
        daemon ends                 -> nothing
        1 lock _s_a[1] nocreate     -> granted 2
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)


STEPS: Final = ["lock", "lock", "lock", "unlock", "rollback", "drop", "daemon ends", "daemon dies"]


@given(st.sampled_from("sS"), st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 4)), max_size=60), st.data())
def test_no_value_is_given_twice_whenever_daemons_die(
    kind: str, steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Of the holders, some reclaim and the others are never heard of again; what is rolled back may come again."""
    script, name = Script(), f"_{kind}_a[4]"
    held: dict[int, str] = {}
    given: set[str] = set()
    for step, session in steps:
        if step.startswith("daemon"):
            script.run(step)
            reclaiming = data.draw(st.lists(st.sampled_from(sorted(held)), unique=True)) if held else []
            held = {one: held[one] for one in reclaiming}
            for one, value in held.items():
                assert script.run(f"{one} lock {name} lifespan=9 had={value}") == f"granted {value}"
        elif step == "lock" and session not in held:
            value = script.run(f"{session} lock {name} lifespan=9 nowait").removeprefix("granted ")
            assert value not in given
            given.add(value)
            held[session] = value
        elif step != "lock" and session in held:
            script.run(
                f"{session} drop" if step == "drop" else f"{session} unlock {name} {step.removeprefix('unlock')}"
            )
            value = held.pop(session)
            if kind == "S" and step != "unlock":
                given.remove(value)


@given(st.sampled_from("sS"), st.lists(st.sampled_from(["commit", "rollback", "daemon ends"]), max_size=40))
def test_no_value_is_left_out_if_all_daemons_end_well(kind: str, steps: list[str]) -> None:
    script, name, expected = Script(), f"_{kind}_a[1]", 1
    for step in steps:
        if step == "daemon ends":
            script.run(step)
            continue
        assert script.run(f"1 lock {name} lifespan=9") == f"granted {expected}"
        script.run(f"1 unlock {name} {step.removeprefix('commit')}")
        expected += kind == "s" or step == "commit"
