"""Whatever bytes come, they are messages or a breach, wherever they are cut and whichever way they are read."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flom.core.protocol.decode import decode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.errors import RemoteProtocolError
from tests.tools.fuzz.malformed import GOLDEN, garbage, mutated, near_canonical
from tests.tools.fuzz.messages import any_message, spelled
from tests.tools.fuzz.properties import check_against_expat, check_cutting, check_rewriting, hear

BUDGET: Final = settings(derandomize=True, deadline=None, max_examples=300)
"""The same examples in every run, and few seconds for them."""

RANDOMS: Final = st.randoms(use_true_random=False)


@given(st.lists(st.binary(max_size=600) | st.sampled_from(GOLDEN), max_size=4), RANDOMS)
@BUDGET
def test_it_does_not_matter_where_a_stream_is_cut(parts: list[bytes], random: Random) -> None:
    check_cutting(b"".join(parts), random)


@given(RANDOMS)
@BUDGET
def test_nearly_right_messages_are_read_the_same_by_a_parser_of_xml(random: Random) -> None:
    check_against_expat(near_canonical(random))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_messages_are_read_the_same_by_a_parser_of_xml(seed: int) -> None:
    """Thousands of them."""
    random = Random(seed)
    for _ in range(2500):
        check_against_expat(near_canonical(random))
        check_against_expat(mutated(random))


@pytest.mark.parametrize("data", GOLDEN, ids=range(len(GOLDEN)))
def test_what_flom_says_is_read_the_same_by_a_parser_of_xml(data: bytes) -> None:
    check_against_expat(data)


def test_thousands_of_streams_may_be_cut_anywhere() -> None:
    random = Random(7)
    for _ in range(1000):
        check_cutting(b"".join(garbage(random) for _ in range(random.randint(1, 3))), random)


def test_whatever_is_sent_is_read_as_it_was_meant() -> None:
    random = Random(11)
    for _ in range(1000):
        message = any_message(random)
        check_rewriting(message)
        assert hear([spelled(message)]) == ([decode(spelled(message))], None)


def test_a_number_of_thousands_of_digits_is_a_breach() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(f'<msg level="3" verb="4" step="8" port="{"7" * 5000}"></msg>'.encode())


def test_an_answer_is_bounded_too() -> None:
    messages, why = hear([b"x" * MAX_ANSWER_SIZE, b"x"], MessageReader(MAX_ANSWER_SIZE))
    assert messages == []
    assert why is not None
