"""
Bytes to messages and back: framing, exact texts, what is tolerated and what is not (docs/compatibility.md, "Protocol").
"""

from __future__ import annotations

import random
import re
from base64 import b64encode
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from flom.core.modes import LockMode
from flom.core.names import HierarchicalName, NumericName, SimpleName, parse_name
from flom.core.protocol.decode import MAX_SINCE, decode
from flom.core.protocol.encode import QUESTION_SIZE, encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MAX_MESSAGE_SIZE, MessageReader
from flom.core.protocol.messages import (
    Answer,
    Discover,
    Discovered,
    Lock,
    ManagementRefused,
    Message,
    Ping,
    Role,
    Shutdown,
    Standing,
    Unlock,
    Unlocked,
)
from flom.errors import LocalProtocolError, RemoteProtocolError

DECLARATION = '<?xml version="1.0" encoding="UTF-8" ?>'
PEER_ID = "0123456789abcdef0123456789abcdef"
SESSION = f'<session peerid="{PEER_ID}"/>'
CANDIDATE = Standing("0123456789abcdef", Role.CANDIDATE, 1_700_000_000_000)
LEADER = CANDIDATE.replace(role=Role.LEADER)


def base64(name: str) -> str:
    return b64encode(name.encode()).decode()


def lock_text(attributes: str = 'mode="5" wait="1" create="1" lifespan="0"', name: str = "UjE=") -> bytes:
    return f'<msg level="3" verb="1" step="8"><resource name="{name}" {attributes}/></msg>'.encode()


def body_of_lock(body: str) -> bytes:
    """Put C{body} in a lock message of R1 that would be well formed without."""
    return f'<msg level="3" verb="1" step="8">{body}<resource name="UjE=" mode="5"/></msg>'.encode()


def feed(data: bytes | Iterable[bytes], max_size: int = MAX_MESSAGE_SIZE) -> list[Message]:
    reader = MessageReader(max_size)
    pieces = [data] if isinstance(data, bytes) else data
    return [message for piece in pieces for message in reader.feed(piece)]


EXACT: list[tuple[Message, str]] = [
    (
        Lock("R1", LockMode.EX, wait=True, create=True, peer_id=PEER_ID),
        (
            f'<msg level="3" verb="1" step="8">{SESSION}'
            '<resource name="UjE=" mode="5" wait="1" create="1" lifespan="0"/></msg>'
        ),
    ),
    (
        Lock("/h/x", LockMode.CR, lifespan=1.5, peer_id=PEER_ID),
        (
            f'<msg level="3" verb="1" step="8">{SESSION}'
            '<resource name="L2gveA==" mode="1" wait="0" create="0" lifespan="1500"/></msg>'
        ),
    ),
    (
        Lock("N[5]", quantity=3, wait=True, create=True, lifespan=0.001, peer_id=PEER_ID),
        (
            f'<msg level="3" verb="1" step="8">{SESSION}'
            '<resource name="Tls1XQ==" wait="1" quantity="3" create="1" lifespan="1"/></msg>'
        ),
    ),
    (
        Lock("R1", LockMode.EX, regains=True),
        (
            '<msg level="3" verb="1" step="8">'
            '<resource name="UjE=" mode="5" wait="0" create="0" lifespan="0" regains="1"/></msg>'
        ),
    ),
    (
        Lock("R1", LockMode.EX, wait=True, create=True, extended=True),
        (
            '<msg level="3" verb="1" step="8" extended="1">'
            '<resource name="UjE=" mode="5" wait="1" create="1" lifespan="0"/></msg>'
        ),
    ),
    (
        Answer(16, 0, peer_id=PEER_ID, extended=True),
        f'<msg level="3" verb="1" step="16" extended="1">{SESSION}<answer rc="0"/></msg>',
    ),
    (Unlocked(), '<msg level="3" verb="2" step="16"></msg>'),
    *(
        (
            Lock(name, wait=True, lifespan=-0.001, peer_id=PEER_ID),
            (
                f'<msg level="3" verb="1" step="8">{SESSION}'
                f'<resource name="{base64(name)}" wait="1" create="0" lifespan="-1"/></msg>'
            ),
        )
        for name in ("red.green", "_s_a[1]", "_S_a[1]", "_t_%S[1]")
    ),
    (
        Answer(16, 0, peer_id=PEER_ID),
        f'<msg level="3" verb="1" step="16">{SESSION}<answer rc="0"/></msg>',
    ),
    (
        Answer(16, 0, "blue", PEER_ID),
        f'<msg level="3" verb="1" step="16">{SESSION}<answer rc="0" element="blue"/></msg>',
    ),
    (
        Answer(16, -14, peer_id=PEER_ID),
        f'<msg level="3" verb="1" step="16">{SESSION}<answer rc="-14"/></msg>',
    ),
    (Answer(24, 1), '<msg level="3" verb="1" step="24"><answer rc="1"/></msg>'),
    (Answer(24, 0, "blue"), '<msg level="3" verb="1" step="24"><answer rc="0" element="blue"/></msg>'),
    (Answer(32, 6), '<msg level="3" verb="1" step="32"><answer rc="6"/></msg>'),
    (Unlock("R1"), '<msg level="3" verb="2" step="8"><resource name="UjE=" rollback="0" /></msg>'),
    (Unlock("R1", rollback=True), '<msg level="3" verb="2" step="8"><resource name="UjE=" rollback="1" /></msg>'),
    (Ping(8), '<msg level="3" verb="3" step="8"></msg>'),
    (Ping(16), '<msg level="3" verb="3" step="16"></msg>'),
    (Discover(), '<msg level="3" verb="4" step="8"></msg>'),
    (
        Discovered("192.0.2.10", 28015),
        '<msg level="3" verb="4" step="16"><network address="192.0.2.10" port="28015"/></msg>',
    ),
    (Discovered("", 1), '<msg level="3" verb="4" step="16"><network address="" port="1"/></msg>'),
    (
        Discover(standing=CANDIDATE),
        ('<msg level="3" verb="4" step="8" node="0123456789abcdef" role="candidate" since="1700000000000"></msg>'),
    ),
    (
        Discovered("", 28015, LEADER, "db1", "1.0"),
        (
            '<msg level="3" verb="4" step="16" node="0123456789abcdef" role="leader" since="1700000000000" '
            'host="db1" version="1.0"><network address="" port="28015"/></msg>'
        ),
    ),
    (
        Shutdown(immediate=False, peer_id=PEER_ID),
        f'<msg level="3" verb="5" step="8">{SESSION}<shutdown immediate="0"/></msg>',
    ),
    (
        Shutdown(immediate=True, peer_id=PEER_ID),
        f'<msg level="3" verb="5" step="8">{SESSION}<shutdown immediate="1"/></msg>',
    ),
    (ManagementRefused(), '<msg level="3" verb="5" step="16"><answer rc="6"/></msg>'),
]

MESSAGES = [message for message, _ in EXACT]
STREAM = b"".join(encode(message) for message in MESSAGES)


@pytest.mark.parametrize(("message", "text"), EXACT, ids=[repr(message) for message in MESSAGES])
def test_a_message_is_written_and_read_like_this(message: Message, text: str) -> None:
    assert encode(message).decode() == DECLARATION + text
    assert decode(encode(message)) == message
    assert decode(text.encode()) == message


# docs/compatibility.md, "Protocol: framing"


def test_messages_may_arrive_in_one_piece() -> None:
    assert feed(STREAM) == MESSAGES


def test_messages_may_be_cut_at_every_byte() -> None:
    for cut in range(len(STREAM) + 1):
        assert feed([STREAM[:cut], STREAM[cut:]]) == MESSAGES


def test_messages_may_arrive_byte_by_byte() -> None:
    assert feed(STREAM[n : n + 1] for n in range(len(STREAM))) == MESSAGES


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_messages_may_be_cut_anywhere(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    assert feed(STREAM[begin:end] for begin, end in pairwise(ends)) == MESSAGES


def test_a_message_is_given_before_what_follows_it_is_found_to_be_none() -> None:
    messages = iter(MessageReader().feed(encode(Discover()) + b"garbage</msg>" + encode(Discover())))
    assert next(messages) == Discover()
    with pytest.raises(RemoteProtocolError):
        next(messages)


def test_white_space_may_stand_between_messages() -> None:
    assert feed(b"\r\n " + encode(Discover()) + b"\n\n\t" + encode(Ping(8))) == [Discover(), Ping(8)]


def test_the_reader_knows_whether_a_message_has_begun() -> None:
    reader = MessageReader()
    assert not reader
    assert list(reader.feed(b"<msg")) == []
    assert reader
    assert list(reader.feed(b' verb="4" step="8"></msg>')) == [Discover()]
    assert not reader


@pytest.mark.parametrize("records", [b"\x16\x03\x01\x02\x00", b"\x15\x03\x03\x00\x02"], ids=["handshake", "alert"])
def test_a_peer_that_speaks_tls_is_recognised_by_its_first_two_bytes(records: bytes) -> None:
    reader = MessageReader()
    assert list(reader.feed(encode(Discover()))) == [Discover()]
    assert list(reader.feed(records[:1])) == []
    with pytest.raises(RemoteProtocolError, match="speaks TLS"):
        list(reader.feed(records[1:2]))


@pytest.mark.parametrize("end", [b"", b"/>", b"></msg >", b"></MSG>", b"></msg"])
def test_a_message_without_its_end_is_waited_for(end: bytes) -> None:
    assert feed(b'<msg level="3" verb="4" step="8"' + end) == []


def sized(size: int) -> bytes:
    """A discover message of C{size} bytes."""
    text = b'<msg level="3" verb="4" step="8" padding=""></msg>'
    return text.replace(b'""', b'"' + b"x" * (size - len(text)) + b'"')


@pytest.mark.parametrize("cut", [1, 100, 510, 511])
def test_511_bytes_are_a_message_and_512_are_none(cut: int) -> None:
    assert feed([sized(511)[:cut], sized(511)[cut:]]) == [Discover()]
    assert feed(sized(511) * 3) == [Discover()] * 3
    for pieces in ([sized(512)], [sized(512)[:cut], sized(512)[cut:]]):
        with pytest.raises(RemoteProtocolError, match="more than 511"):
            feed(pieces)


def test_511_bytes_without_an_end_are_waited_for_and_512_are_not() -> None:
    assert feed(b"x" * 511) == []
    with pytest.raises(RemoteProtocolError, match="more than 511"):
        feed(b"x" * 512)


def test_a_client_accepts_1023_bytes() -> None:
    assert feed(sized(1023), MAX_ANSWER_SIZE) == [Discover()]
    with pytest.raises(RemoteProtocolError, match="more than 1023"):
        feed(sized(1024), MAX_ANSWER_SIZE)


def test_endless_garbage_is_not_kept() -> None:
    reader, kept = MessageReader(), 0
    with pytest.raises(RemoteProtocolError):  # noqa: PT012
        for _ in range(10_000):
            list(reader.feed(b"garbage "))
            kept = max(kept, len(reader._buffer))
    assert kept <= MAX_MESSAGE_SIZE


def test_endless_messages_are_not_kept() -> None:
    reader = MessageReader()
    for _ in range(1_000):
        assert list(reader.feed(encode(Discover()) + b"<msg")) == [Discover()]
        assert len(reader._buffer) == 4
        assert list(reader.feed(encode(Discover())[len(DECLARATION) + 4 :])) == [Discover()]
        assert not reader


@pytest.mark.parametrize("length", [240, 241])
def test_a_simple_name_may_have_240_bytes(length: int) -> None:
    message = Lock("a" * length, LockMode.EX, wait=True, create=True, peer_id=PEER_ID)
    if length == 240:
        assert decode(encode(message)) == message
    else:
        with pytest.raises(LocalProtocolError, match="too long"):
            encode(message)


def test_a_lock_of_what_is_no_name_is_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="'no name!'"):
        encode(Lock("no name!"))


# docs/compatibility.md, "Protocol: header"


@pytest.mark.parametrize("level", ["3", "3x", " 3", "+3", "03", "3.9"])
def test_level_3_is_understood(level: str) -> None:
    assert decode(f'<msg level="{level}" verb="4" step="8"></msg>'.encode()) == Discover()


def test_an_absent_level_is_level_3() -> None:
    assert decode(b'<msg verb="4" step="8"></msg>') == Discover()


@pytest.mark.parametrize("level", ["2", "4", "33", "-3", "0", "", "x3", "abc"])
def test_another_level_is_not_understood(level: str) -> None:
    with pytest.raises(RemoteProtocolError, match="protocol level"):
        decode(f'<msg level="{level}" verb="4" step="8"></msg>'.encode())


LEGAL_STEPS = {1: {8, 16, 24, 32}, 2: {8, 16}, 3: {8, 16}, 4: {8, 16}, 5: {8, 16}}


def test_a_verb_and_a_step_make_a_message_or_do_not() -> None:
    body = '<resource name="UjE="/><network address="" port="1"/><shutdown immediate="0"/>'
    for verb in range(-1, 10):
        for step in range(-8, 48):
            text = f'<msg level="3" verb="{verb}" step="{step}">{body}</msg>'.encode()
            if step in LEGAL_STEPS.get(verb, ()):
                message = decode(text)
                assert (message.verb, message.step) == (verb, step)
            else:
                with pytest.raises(RemoteProtocolError, match="no message has verb"):
                    decode(text)


@pytest.mark.parametrize("header", ["", 'verb="1"', 'step="8"', 'verb="x" step="8"', 'verb="" step=""'])
def test_a_message_without_verb_and_step_is_none(header: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(f'<msg level="3" {header}><resource name="UjE="/></msg>'.encode())


# docs/compatibility.md, "Protocol: header": numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("3", 3), ("03", 3), ("3x", 3), ("3 4", 3), ("3.7", 3), ("3e2", 3), (" 3", 3), ("+3", 3)),
        *(("abc", 0), ("", 0), (" ", 0), ("+", 0), ("-0", 0), ("x3", 0), ("٣", 0), ("2147483647", 2**31 - 1)),
    ],
)
def test_a_number_is_read_as_strtol_does(text: str, number: int) -> None:
    message = decode(lock_text(f'quantity="{text}" wait="{text}" create="{text}" lifespan="{text}"'))
    assert isinstance(message, Lock)
    assert (message.quantity, message.wait, message.create) == (number, number != 0, number != 0)
    assert message.lifespan == number / 1000


@pytest.mark.parametrize("number", ["1", "2", "-1", "99999999999999999999999"])
def test_any_number_but_0_is_true(number: str) -> None:
    message = decode(lock_text(f'wait="{number}" create="{number}"'))
    assert isinstance(message, Lock)
    assert (message.wait, message.create) == (True, True)
    assert decode(f'<msg verb="2" step="8"><resource name="UjE=" rollback="{number}"/></msg>'.encode()) == Unlock(
        "R1", rollback=True
    )


@pytest.mark.parametrize("lifespan", ["9" * 30, "-" + "9" * 30])
def test_a_lifespan_has_31_bits_at_most(lifespan: str) -> None:
    message = decode(lock_text(f'lifespan="{lifespan}"'))
    assert isinstance(message, Lock)
    assert abs(message.lifespan) == (2**31 - 1) / 1000


@pytest.mark.parametrize("mode", list(LockMode))
def test_a_mode_is_its_number(mode: LockMode) -> None:
    message = decode(lock_text(f'mode="{mode:d}"'))
    assert isinstance(message, Lock)
    assert message.mode is mode


@pytest.mark.parametrize("mode", ["6", "99", "-1", "100000000", "4294967296", "", "EX", "abc"])
def test_what_is_no_mode_is_refused(mode: str) -> None:
    with pytest.raises(RemoteProtocolError, match="lock mode"):
        decode(lock_text(f'mode="{mode}"'))


@pytest.mark.parametrize("quantity", ["-1", "-2", "2147483648", "4294967297", "9" * 40])
def test_a_quantity_that_is_negative_or_too_great_is_refused(quantity: str) -> None:
    with pytest.raises(RemoteProtocolError, match="quantity"):
        decode(lock_text(f'quantity="{quantity}"'))


# docs/compatibility.md, "Protocol: tolerance", row by row

R1 = Lock("R1", LockMode.EX)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<msg verb="1" step="8" new="1"><session new="1"/><resource name="UjE=" mode="5" new="1"/></msg>', R1),
        (b'<msg verb="1" step="16"><answer rc="0" new="1"/></msg>', Answer(16, 0)),
        (b'<msg verb="4" step="16"><network address="::1" port="9" new="1"/></msg>', Discovered("::1", 9)),
        (body_of_lock("<new/><new></new>"), R1),
        (body_of_lock('<answer rc="6"/><network address="a" port="1"/>'), R1),
        (b'<msg verb="4" step="8"><resource name="UjE=" mode="77" rollback="1"/></msg>', Discover()),
        (body_of_lock(""), R1),
        (body_of_lock("<session/>"), R1),
        (body_of_lock('<session peerid=""/>'), R1.replace(peer_id="")),
        (lock_text(""), Lock("R1", LockMode.NL, quantity=0, wait=False, create=False, lifespan=0.0)),
        (b'<msg verb="2" step="8"><resource name="UjE="/></msg>', Unlock("R1", rollback=False)),
        (body_of_lock('<resource name="UjI=" mode="1" wait="1"/>'), Lock("R1", LockMode.EX, wait=True)),
        (body_of_lock('<session peerid="a"/><session peerid="b"/>'), R1.replace(peer_id="b")),
        (body_of_lock("text <!-- a comment --> &lt;&amp;&#65; <![CDATA[<text>]]>"), R1),
        (b'<msg verb="1" step="8"><resource name="UjE=" mode="5"><session><a/></session></resource></msg>', R1),
        (b"<!DOCTYPE msg><msg verb='4' step='8'></msg>", Discover()),
        (b'<?xml version="1.0"?>\n<msg step="8"\tverb="4"\n>\n</msg>', Discover()),
        (b'<msg verb="1" step="24"><answer rc="0" element="&lt;&#98;&quot;"/></msg>', Answer(24, 0, '<b"')),
        (body_of_lock('<session PeerID="a"/>'), R1),
        (b'<msg verb="4" step="8" role="leader" since="9" host="a" version="1" new="1"></msg>', Discover()),
        (b'<msg verb="4" step="8" group="239.1.1.1" everyone="1" new="1"></msg>', Discover("239.1.1.1", everyone=True)),
        (
            b'<msg verb="4" step="8" node="a" role="leaving" since="9" new="1" group=""></msg>',
            Discover(standing=Standing("a", Role.LEAVING, 9)),
        ),
        (b'<msg verb="4" step="16" role="king" since="9"><network address="" port="1"/></msg>', Discovered("", 1)),
        (
            b'<msg verb="4" step="16" node="a" role="standby" new="1"><network address="" port="1" new="1"/></msg>',
            Discovered("", 1, Standing("a", Role.STANDBY, 0)),
        ),
        (b'<msg verb="1" step="8" node="a" role="king" group="b"><resource name="UjE=" mode="5"/></msg>', R1),
        (b'<msg verb="1" step="16"></msg>', Answer(16, None)),
        (b'<msg verb="1" step="24"><answer/></msg>', Answer(24, None)),
    ],
)  # fmt: skip
def test_this_is_tolerated(data: bytes, message: Message) -> None:
    assert decode(data) == message


@pytest.mark.parametrize("name", ["", "!!!!", "====", "a", "A=B", "*"])
def test_a_name_that_is_not_base64_is_read_as_one_that_names_nothing(name: str) -> None:
    message = decode(lock_text(name=name))
    assert isinstance(message, Lock)
    assert message.name == ""


@pytest.mark.parametrize(
    "data",
    [
        b'<msg verb="5" step="8"><shutdown immediate="1" new="1"/></msg>',
        b'<msg verb="5" step="8"><shutdown/></msg>',
        b'<msg verb="5" step="8"></msg>',
        body_of_lock('<new attribute="1"/>'),
        body_of_lock('<new><newer attribute="1"/></new>'),
        *(
            f'<msg verb="2" step="8"><resource name="UjE=" {attribute}="0"/></msg>'.encode()
            for attribute in ("mode", "wait", "quantity", "create", "lifespan")
        ),
        lock_text('rollback="0"'),
        b'<MSG level="3" verb="4" step="8"></MSG></msg>',
        b'<msg verb="1" step="8"><Resource name="UjE="/></msg>',
        b'<msg verb="1" step="8"><resource Name="UjE="/></msg>',
        b'<msg verb="1" step="8"></msg>',
        b'<msg verb="2" step="8"></msg>',
        b'<msg verb="2" step="8"><resource rollback="0"/></msg>',
        b'<msg VERB="4" step="8"></msg>',
        b'<new></new>',
        b"hello</msg>",
        b"",
        b"</msg>",
        b'<msg verb="4" step="8"><a></msg>',
        b'<msg verb="4" step="8"><a></b></msg>',
        b'<msg verb="4" verb="4" step="8"></msg>',
        b'<msg verb=4 step=8></msg>',
        b'<msg verb="4" step="8">&unknown;</msg>',
        b'<msg verb="4" step="8" new="&unknown;"></msg>',
        b'<!DOCTYPE msg SYSTEM "x"><msg verb="4" step="8">&unknown;</msg>',
        b'<!DOCTYPE msg SYSTEM "x"><msg verb="4&unknown;" step="8"></msg>',
        b'<!DOCTYPE msg [%unknown;]><msg verb="4" step="8">&unknown;</msg>',
        b'<msg verb="4" step="8">\xff</msg>',
        b'<msg verb="4" step="8" new="\xc3\x28"></msg>',
        b'<msg verb="4" step="8">\x00</msg>',
        b'<msg verb="4" step="8">&#0;</msg>',
        b'<resource name="UjE="/><msg verb="1" step="8"></msg>',
        b'<msg verb="4" step="16"></msg>',
        b'<msg verb="4" step="16"><network port="1"/></msg>',
        *(
            f'<msg verb="4" step="16"><network address="" port="{port}"/></msg>'.encode()
            for port in ("", "0", "-1", "65536", "x")
        ),
    ],
)  # fmt: skip
def test_this_is_not_tolerated(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(data)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">',
        '<!ENTITY a SYSTEM "file:///etc/passwd">',
        '<!ENTITY % a "x">',
    ],
)
@pytest.mark.parametrize("use", ["", "&a;", "&b;"])
def test_an_entity_may_not_even_be_declared(declaration: str, use: str) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(f'<!DOCTYPE msg [{declaration}]><msg verb="4" step="8">{use}</msg>'.encode())


# what only daemons and clients of ours say to each other in a group (docs/protocol.md, "In a group")


def test_who_asks_as_flom_does_is_asked_for_78_bytes() -> None:
    assert encode(Discover()) == DECLARATION.encode() + b'<msg level="3" verb="4" step="8"></msg>'
    assert len(encode(Discover())) == 78


def test_what_no_daemon_of_ours_says_is_not_written() -> None:
    assert encode(Discovered("", 28015, host="db1", version="1.0")) == encode(Discovered("", 28015))


ADDED = re.compile(rb' (group|everyone|orphaned|relayed|node|role|since|host|version)="[^"]*"| +(?=</msg>)')


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        (Discover("239.1.1.1", everyone=True, orphaned=True), Discover()),
        (Discover(standing=CANDIDATE), Discover()),
        (Discovered("::1", 28015, LEADER, "db1", "1.0"), Discovered("::1", 28015)),
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


@pytest.mark.parametrize("size", [QUESTION_SIZE, QUESTION_SIZE + 1, MAX_MESSAGE_SIZE])
def test_a_question_that_is_long_enough_is_not_filled_up(size: int) -> None:
    question = Discover("x" * (size - len(encode(Discover())) - len(' group=""')))
    assert len(encode(question)) == size
    assert decode(encode(question)) == question


def test_the_longest_answer_is_no_longer_than_its_question() -> None:
    """The longest address and host do not fit a flood by reflection."""
    answer = Discovered("ffff:" * 7 + "ffff", 65535, LEADER.replace(role=Role.CANDIDATE), "h" * 64, "10.10.10")
    assert len(encode(answer)) <= QUESTION_SIZE


@pytest.mark.parametrize("role", ["", ' role=""', ' role="king"', ' role="LEADER"', ' role="leader "'])
@pytest.mark.parametrize("step", [8, 16])
def test_a_daemon_of_an_unknown_role_is_a_breach(role: str, step: int) -> None:
    text = f'<msg verb="4" step="{step}" node="a"{role} since="9"><network address="" port="1"/></msg>'
    with pytest.raises(RemoteProtocolError, match="a daemon of role"):
        decode(text.encode())


@pytest.mark.parametrize(("since", "number"), [("", 0), (' since=""', 0), (' since="x"', 0), (' since=" 7.9"', 7)])
def test_since_when_is_a_number_like_any_other(since: str, number: int) -> None:
    text = f'<msg verb="4" step="8" node="a" role="leader"{since}></msg>'
    assert decode(text.encode()) == Discover(standing=Standing("a", Role.LEADER, number))


@pytest.mark.parametrize("since", [-1, MAX_SINCE + 1, 10**30])
def test_nobody_is_what_he_is_since_a_time_that_no_calendar_has(since: int) -> None:
    with pytest.raises(RemoteProtocolError, match="since"):
        decode(f'<msg verb="4" step="8" node="a" role="leader" since="{since}"></msg>'.encode())


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
    )


CODES = st.integers(-(2**31), 2**31 - 1)
PORTS = st.integers(1, 65535)
GROUPS = st.sampled_from(["", "239.1.1.1", "ff02::1"]) | ELEMENT
STANDINGS = st.builds(Standing, ELEMENT, st.sampled_from(list(Role)), st.integers(0, MAX_SINCE))
ANY_MESSAGE = st.one_of(
    locks(),
    st.builds(Answer, st.just(16), CODES, st.none() | ELEMENT, PEER_IDS),
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
