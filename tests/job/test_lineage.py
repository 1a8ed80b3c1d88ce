"""What a program tells of the commands that it runs under, and what its own command is told."""

from __future__ import annotations

import os

import pytest

from flom.core.protocol.messages import Lock, Wishes
from flom.job.lineage import VARIABLE, lineage_of, new_id, outer_ids, pass_on, wishes_here, with_lineage
from flom.job.sender import signed

A, B, C = "a" * 16, "b" * 16, "0123456789abcdef"
MANY = tuple(f"{number:016x}" for number in range(20))


def test_an_id_has_16_hexadecimal_digits_and_is_another_one_each_time() -> None:
    ids = {new_id() for _ in range(20)}
    assert len(ids) == 20
    assert all(outer_ids({VARIABLE: id}) == (id,) for id in ids)


@pytest.mark.parametrize(
    ("said", "ids"),
    [
        (None, ()),
        ("", ()),
        (A, (A,)),
        (f"{A}/{B}/{C}", (A, B, C)),
        (f"{A}//{B.upper()}/{B[1:]}/x/{C}", (A, C)),
        (" ".join([A, B]), ()),
        ("/".join(MANY), MANY[:8]),
        (f"{A}/{B}/{A}", (A, B)),
        ("ä" * 16, ()),
    ],
)
def test_what_is_no_id_is_left_out(said: str | None, ids: tuple[str, ...]) -> None:
    assert outer_ids({} if said is None else {VARIABLE: said}) == ids


def test_at_most_eight_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/".join(MANY[:8]))
    environment = {VARIABLE.encode(): b"old"}
    pass_on(lineage_of(B), environment)
    assert environment == {VARIABLE.encode(): "/".join((B, *MANY[:7])).encode()}


def test_a_process_under_no_command_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert wishes_here(None) is None
    assert signed(Lock("X")).wishes is None


def test_a_process_under_a_command_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{A}/{B}")
    wishes = signed(Lock("X")).wishes
    assert wishes is not None
    assert wishes.lineage[1:] == (A, B)
    assert signed(Lock("Y")).wishes == wishes
    assert signed(Lock("Y"), has_lineage=False).wishes is None
    other = wishes_here(Wishes(nested="share"))
    assert other == wishes.replace(nested="share")
    own = Wishes((C,))
    assert wishes_here(own) is own


def test_a_fork_has_an_id_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, A)
    wishes = wishes_here(None)
    assert wishes is not None
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        here = wishes_here(None)
        os.write(writing, "/".join(here.lineage if here else ()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading) as told:
        own, *others = told.read().split("/")
    assert others == [A]
    assert own != wishes.lineage[0]


def test_refuse_is_what_is_not_said() -> None:
    assert with_lineage(Lock("X"), (A,), "refuse").wishes == Wishes((A,))
    assert with_lineage(Lock("X", wishes=Wishes(max_hold=1.0)), (A,), "wait").wishes == Wishes((A,), "wait", 1.0)
