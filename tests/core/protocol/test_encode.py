"""What is written: attributes for a group, and what can be read again (docs/reference/protocol.md, "In a group")."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from flom.core.modes import LockMode
from flom.core.names import HierarchicalName, NumericName, SimpleName, parse_name
from flom.core.protocol.decode import MAX_SINCE, decode
from flom.core.protocol.encode import QUESTION_SIZE, encode, extend, split
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MAX_MESSAGE_SIZE
from flom.core.protocol.messages import (
    HAS_SESSIONS,
    Answer,
    Discover,
    Discovered,
    Lock,
    ManagementRefused,
    Message,
    More,
    Ping,
    Role,
    Shutdown,
    Standing,
    Terms,
    Unlock,
    Wishes,
)
from flom.core.requests import MAX_LIFESPAN
from flom.core.tokens import MAX_TOKEN
from flom.errors import LocalProtocolError, RemoteProtocolError
from tests.core.protocol.texts import (
    CANDIDATE,
    DECLARATION,
    LEADER,
    MESSAGES,
    STREAM,
    feed,
)

# what only daemons and clients of ours say to each other in a group (docs/reference/protocol.md, "In a group")


def test_who_asks_as_flom_does_is_asked_for_78_bytes() -> None:
    assert encode(Discover()) == DECLARATION.encode() + b'<msg level="3" verb="4" step="8"></msg>'
    assert len(encode(Discover())) == 78


def test_what_no_daemon_of_ours_says_is_not_written() -> None:
    assert encode(Discovered("", 28015, host="db1", version="1.0", alone=True)) == encode(Discovered("", 28015))


ADDED = re.compile(
    rb' (group|everyone|orphaned|holder|relayed|node|role|since|host|version|alone)="[^"]*"| +(?=</msg>)'
)


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        (Discover("239.1.1.1", everyone=True, orphaned=True, holder=7), Discover()),
        (Discover(standing=CANDIDATE), Discover()),
        (Discovered("::1", 28015, LEADER, "db1", "1.0", alone=True), Discovered("::1", 28015)),
    ],
    ids=repr,
)
def test_without_attributes_of_msg_that_flom_ignores_it_is_what_flom_says(message: Message, plain: Message) -> None:
    assert encode(message) != encode(plain)
    declaration, msg = encode(message).split(b"<msg")
    assert declaration + b"<msg" + ADDED.sub(b"", msg) == encode(plain)


@pytest.mark.parametrize("group", ["239.1.1.1", "ff02::1", "ffff:" * 7 + "ffff"])
@pytest.mark.parametrize("everyone", [True, False])
@pytest.mark.parametrize("orphaned", [True, False])
def test_a_question_that_names_its_group_is_filled_up(group: str, everyone: bool, orphaned: bool) -> None:
    question = Discover(group, everyone, orphaned)
    data = encode(question)
    assert len(data) == QUESTION_SIZE
    assert decode(data) == question
    said = f' group="{group}"' + ' everyone="1"' * everyone + ' orphaned="1"' * orphaned
    assert data.split() == f'{DECLARATION}<msg level="3" verb="4" step="8"{said}> </msg>'.encode().split()


def test_a_reclaim_that_would_be_too_long_does_not_say_whose_it_is() -> None:
    """A lock message for a long name leaves its holder out, as it was before there were holders."""
    longest = max(length for length in range(200, 300) if is_short_enough(Lock("R" * length, regains=True)))
    for length, holder in ((longest - 20, 2**32 - 1), (longest, 0)):
        asked = Lock("R" * length, regains=True, holder=2**32 - 1)
        assert decode(encode(asked)) == asked.replace(holder=holder)


def test_a_request_that_would_be_too_long_does_not_say_whose_it_is() -> None:
    longest = max(length for length in range(200, 400) if is_short_enough(Lock("R" * length, extended=True)))
    for length, user, command in ((200, "root", "backup"), (longest, "", "")):
        asked = Lock("R" * length, extended=True, user="root", command="backup")
        assert decode(encode(asked)) == asked.replace(user=user, command=command)


def test_a_request_that_would_be_too_long_names_no_session() -> None:
    longest = max(length for length in range(200, 400) if is_short_enough(Lock("R" * length, regains=True)))
    for length, session in ((longest - 40, "f" * 32), (longest, "")):
        asked = Lock("R" * length, regains=True, session="f" * 32, user="root")
        assert decode(encode(asked)) == asked.replace(session=session, user="")


@pytest.mark.parametrize(
    ("name", "element"), [("R", None), ("/", None), ("_S_", "4294967295"), ("_t_%T", "12:00:00"), ("a.b", "b")]
)
def test_what_can_be_locked_can_be_reclaimed(name: str, element: str | None) -> None:
    """However long the name is."""
    rest = "[1]" if name.startswith("_") else ""
    asked = Lock("", wait=True, create=True, lifespan=MAX_LIFESPAN, peer_id="x" * 32)
    longest = max(
        length for length in range(200, 400) if is_short_enough(asked.replace(name=name + "R" * length + rest))
    )
    again = asked.replace(name=name + "R" * longest + rest, wait=False, regains=True, element=element)
    read = decode(encode(again.replace(holder=7, token=8)))
    assert isinstance(read, Lock)
    assert read.replace(holder=0, token=0) == again


def test_a_reclaim_that_would_be_too_long_says_less() -> None:
    asked = Lock(
        "a.b", regains=True, extended=True, user="root", command="backup", holder=7, element="b", token=2**62 + 1
    )
    least = asked.replace(user="", command="", holder=0, token=0)
    shorter = [asked, asked.replace(user="", command=""), asked.replace(user="", command="", holder=0), least]
    for said in shorter:
        peer_id = "x" * (MAX_MESSAGE_SIZE - len(encode(said.replace(peer_id=""))))  # as much as there is room for
        assert decode(encode(asked.replace(peer_id=peer_id))) == said.replace(peer_id=peer_id)
    with pytest.raises(LocalProtocolError):
        encode(asked.replace(peer_id=peer_id + "x"))


def test_what_has_room_in_a_request_of_flom_has_room_in_ours() -> None:
    """The longest names go without a declaration."""
    longest = max(length for length in range(200, 400) if is_short_enough(Lock("R" * length, peer_id="x" * 32)))
    asked = extend(Lock("R" * longest, peer_id="x" * 32))
    assert asked.extended == HAS_SESSIONS
    assert decode(encode(asked)) == asked
    assert not encode(asked).startswith(b"<?xml")
    assert not is_short_enough(asked.replace(name=asked.name + "R"))


def test_an_answer_to_a_client_of_ours_may_be_longer_than_a_request() -> None:
    said = Answer(16, 0, "e" * 240, "x" * 32, True, "f" * 32, "0123456789abcdef", MAX_TOKEN, "a" * 32, Terms(10, 2.75))
    assert decode(encode(said)) == said
    assert MAX_MESSAGE_SIZE < len(encode(said)) <= MAX_ANSWER_SIZE


def test_what_has_no_room_beside_a_name_follows() -> None:
    had: dict[str, Any] = {"session": "f" * 32, "element": "red", "token": 2**60 + 1, "proof": "a" * 32, "holder": 7}
    had["waited"] = 3.5
    for regains in (True, False):
        said = Lock("R" * 100, peer_id="x" * 32, extended=True, regains=regains, **had)
        assert split(said) == (encode(said), ())
        longest = next(n for n in range(300, 0, -1) if is_short_enough(Lock("R" * n, peer_id="x" * 32)))
        said = said.replace(name="R" * longest)
        first, (following,) = split(said)
        beginning = Lock("R" * longest, peer_id="x" * 32, extended=True, regains=regains, more=True)
        assert decode(first) == beginning
        assert following == More(**had)
        assert decode(encode(following)) == following


@pytest.mark.parametrize("length", [10, 60, 150, 240])
def test_hints_are_left_out_before_what_a_reclaim_needs(length: int) -> None:
    wishes = Wishes(tuple(f"{number:016x}" for number in range(9)), "share")
    about: dict[str, Any] = {"session": "5" * 32, "token": 2**60 + 1, "proof": "d" * 32, "regains": True}
    message = Lock("n" * length, peer_id="b" * 36, extended=HAS_SESSIONS, wishes=wishes, **about)
    data, following = split(message)
    first, more = decode(data), following[0] if following else More()
    assert isinstance(first, Lock)
    assert (first.session or more.session, first.token or more.token) == (message.session, message.token)
    assert first.wishes == (wishes if length < 100 else None)


def test_a_client_that_is_not_extended_has_nothing_follow() -> None:
    said = Lock("R" * 220, peer_id="x" * 32, regains=True, session="f" * 32)
    assert split(said) == (encode(said), ())


def is_short_enough(message: Message) -> bool:
    try:
        return len(encode(message)) <= MAX_MESSAGE_SIZE
    except LocalProtocolError:
        return False


@pytest.mark.parametrize("size", [QUESTION_SIZE, QUESTION_SIZE + 1, MAX_MESSAGE_SIZE])
def test_a_question_that_is_long_enough_is_not_filled_up(size: int) -> None:
    question = Discover("x" * (size - len(encode(Discover())) - len(' group=""')))
    assert len(encode(question)) == size
    assert decode(encode(question)) == question


def test_the_longest_answer_is_no_longer_than_its_question() -> None:
    """The longest address and host do not fit a flood by reflection."""
    answer = Discovered(
        "ffff:" * 7 + "ffff", 65535, LEADER.replace(role=Role.CANDIDATE), "h" * 64, "10.10.10", alone=True
    )
    assert len(encode(answer)) <= QUESTION_SIZE


# round trips

ELEMENT = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=40)
PEER_IDS = st.none() | ELEMENT.map(lambda text: text[:30])
LEVELS = st.text(st.characters(exclude_categories=["Cc"], exclude_characters="/\\"), min_size=1, max_size=8)
NAMES = st.one_of(
    st.from_regex(r"\A[A-Za-z][A-Za-z0-9]{0,20}\Z"),
    st.from_regex(r"\A[A-Za-z][A-Za-z0-9]{0,9}\[[0-9]{1,9}\]\Z"),
    st.from_regex(r"\A[a-z]{1,5}(\.[a-z]{1,5}){1,4}\Z"),
    st.from_regex(r"\A_[sS]_[a-z]{1,9}\[[0-9]{1,5}\]\Z"),
    st.from_regex(r"\A_t_%[A-Za-z%#.:]{1,20}\[[0-9]\]\Z"),
    st.lists(LEVELS, min_size=1, max_size=3)
    .map(lambda levels: "/" + "/".join(levels))
    .filter(lambda name: not any(0xD800 <= ord(c) < 0xE000 for c in name)),
)
MILLISECONDS = st.integers(-(2**31) + 1, 2**31 - 1).map(lambda n: n / 1000)


@st.composite
def locks(draw: st.DrawFn) -> Lock:
    """Lock messages that say what FLoM says for the type of the name."""
    name = draw(NAMES)
    kind = parse_name(name)
    moded = isinstance(kind, SimpleName | HierarchicalName)
    return Lock(
        name,
        draw(st.sampled_from(list(LockMode))) if moded else LockMode.NL,
        draw(st.integers(0, 2**31 - 1)) if isinstance(kind, NumericName) else 0,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(MILLISECONDS),
        draw(PEER_IDS),
        draw(st.booleans()),
        session=draw(ELEMENT),
    )


CODES = st.integers(-(2**31), 2**31 - 1)
PORTS = st.integers(1, 65535)
GROUPS = st.sampled_from(["", "239.1.1.1", "ff02::1"]) | ELEMENT
STANDINGS = st.builds(Standing, ELEMENT, st.sampled_from(list(Role)), st.integers(0, MAX_SINCE))
ANY_MESSAGE = st.one_of(
    locks(),
    st.builds(Answer, st.just(16), CODES, st.none() | ELEMENT, PEER_IDS),
    st.builds(Answer, st.just(16), CODES, st.none() | ELEMENT, PEER_IDS, st.just(True), ELEMENT),
    st.builds(Answer, st.sampled_from([24, 32]), CODES, st.none() | ELEMENT),
    st.builds(Unlock, NAMES | st.just(""), st.booleans()),
    st.builds(Discover, GROUPS, st.booleans(), st.booleans(), st.none() | STANDINGS, st.booleans()),
    st.builds(Discover, GROUPS, standing=STANDINGS, address=ELEMENT, port=PORTS),
    st.builds(Discovered, ELEMENT, PORTS),
    st.builds(Discovered, ELEMENT, PORTS, STANDINGS, ELEMENT, ELEMENT),
    st.builds(Shutdown, st.booleans(), PEER_IDS),
    st.sampled_from([Ping(8), Ping(16), ManagementRefused()]),
)


@given(ANY_MESSAGE)
@example(Unlock("/a/\udce9"))
def test_what_is_written_is_read_as_the_same(message: Message) -> None:
    try:
        data = encode(message)
    except LocalProtocolError:
        reject()  # too long
    assert len(data) <= MAX_MESSAGE_SIZE
    assert data.count(b"</msg>") == 1
    assert feed([data[:50], data[50:]]) == [message]


def test_line_feeds_and_tabs_of_an_element_arrive_as_blanks_as_flom_has_it() -> None:
    assert feed([encode(Answer(24, 0, "a\n\tb"))]) == [Answer(24, 0, "a  b")]


# fuzz


@given(st.binary(max_size=600) | st.lists(st.sampled_from(STREAM.split(b'"') + [b'"', b"</msg>"])).map(b"".join))
@settings(max_examples=300)
def test_any_bytes_are_messages_or_a_breach(data: bytes) -> None:
    for bytes_ in (data, data + b"</msg>"):
        try:
            feed(bytes_)
        except RemoteProtocolError:
            pass


def test_a_damaged_message_is_a_message_or_a_breach() -> None:
    dice = random.Random(28015)
    for _ in range(20_000):
        data = bytearray(encode(dice.choice(MESSAGES)))
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(data))
            match dice.randrange(4):
                case 0:
                    data[place] = dice.randrange(256)
                case 1:
                    del data[place : place + dice.randint(1, 8)]
                case 2:
                    data[place:place] = bytes([dice.choice(b"<>&\"'/=0-9!?[]\0\xff")])
                case 3:
                    data[place:place] = data[place : place + dice.randint(1, 20)]
            data = data or bytearray(b"<")
        try:
            feed(bytes(data))
        except RemoteProtocolError:
            pass
