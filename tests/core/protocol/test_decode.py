"""What is a message and what is a breach (docs/compatibility.md, "Protocol: header", "Protocol: tolerance")."""

from __future__ import annotations

from binascii import b2a_base64

import pytest

from flom.core.handles import make_handle
from flom.core.modes import LockMode
from flom.core.names import MAX_TEXT
from flom.core.protocol.decode import MAX_SINCE, decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import (
    Answer,
    Discover,
    Discovered,
    HoldOrder,
    Lock,
    Message,
    Role,
    Standing,
    Unlock,
    Wishes,
)
from flom.errors import RemoteProtocolError
from tests.core.protocol.texts import (
    body_of_lock,
    lock_text,
)

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


LEGAL_STEPS = {
    1: {8, 12, 16, 24, 32},
    2: {8, 16, 24, 32, 40},
    3: {8, 16},
    4: {8, 16},
    5: {8, 16, 24, 32, 40},
    6: {8, 16, 24},
    7: {8, 16, 24},
}


def test_a_verb_and_a_step_make_a_message_or_do_not() -> None:
    body = '<resource name="UjE="/><network address="" port="1"/><shutdown immediate="0"/>'
    for verb in range(-1, 10):
        for step in range(-8, 48):
            text = f'<msg level="3" verb="{verb}" step="{step}" number="1" mode="5">{body}</msg>'.encode()
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
        (
            b'<msg verb="4" step="8" node="a" role="standby" quorum="1" group=""></msg>',
            Discover(standing=Standing("a", Role.STANDBY, 0, quorum=True)),
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


@pytest.mark.parametrize(
    ("said", "element"),
    [('element="a b%:"', "a b%:"), ("", None), ('element=""', None), ("element='a\"b'", None), ('element="a>b"', None)]
    + [(f'element="{"x" * MAX_TEXT}"', "x" * MAX_TEXT), (f'element="{"x" * (MAX_TEXT + 1)}"', None)]
    + [('element="é"', None), ('element="&#10;"', None), ('element="&lt;"', None)],
)
def test_an_element_that_no_daemon_can_have_granted_is_none(said: str, element: str | None) -> None:
    """A daemon that reclaims a timestamp takes the client's word, and has to write it in its answer."""
    message = decode(f'<msg verb="1" step="8"><resource name="YS5i" regains="1" {said}/></msg>'.encode())
    assert message == Lock("a.b", regains=True, element=element)


@pytest.mark.parametrize(
    ("token", "number"),
    [("1", 1), (2**62 + 1, 2**62 + 1), (2**63 - 1, 0), (2**64 + 1, 0), (2**32, 0), ("-1", 0), ("x", 0)],
)
def test_a_token_that_no_grant_can_have_is_none(token: str | int, number: int) -> None:
    message = decode(f'<msg verb="1" step="8"><resource name="UjE=" regains="1" token="{token}"/></msg>'.encode())
    assert message == Lock("R1", regains=True, token=number)


@pytest.mark.parametrize(
    "start", ["../../etc/passwd", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "é" * 16]
)
def test_what_cannot_be_the_start_of_a_daemon_is_none(start: str) -> None:
    """It becomes part of a file's name."""
    said = f'<msg level="3" verb="1" step="16" extended="1" start="{start}"><answer rc="0"/></msg>'
    assert decode(said.encode()) == Answer(16, 0, extended=True)


# bounds of what a client may wish (docs/reference/protocol.md, "Wishes")


def wishes(attributes: str) -> Wishes | None:
    lock = decode(f'<msg level="3" verb="1" step="8"><resource name="UjE=" mode="5" {attributes}/></msg>'.encode())
    assert isinstance(lock, Lock)
    return lock.wishes


@pytest.mark.parametrize("wish", ["max_hold", "lock_delay", "ttl"])
def test_a_duration_has_31_bits_of_milliseconds(wish: str) -> None:
    longest = wishes(f'{wish}="2147483647"')
    assert longest == Wishes().replace(**{wish: 2_147_483.647})
    assert f' {wish}="2147483647"'.encode() in encode(Lock("R1", wishes=longest))
    for beyond in ("2147483648", "9223372036854775807", "-1", "x"):
        with pytest.raises(RemoteProtocolError, match=f"a duration of '{beyond}' ms"):
            wishes(f'{wish}="{beyond}"')


def test_so_has_the_new_time_of_a_hold() -> None:
    order = '<msg level="3" verb="5" step="8"><hold handle="{}" ttl="{}"/></msg>'
    handle = make_handle(bytes(20))
    assert decode(order.format(handle, 2**31 - 1).encode()) == HoldOrder(handle, ttl=2_147_483.647)
    with pytest.raises(RemoteProtocolError, match="a duration of '2147483648' ms"):
        decode(order.format(handle, 2**31).encode())


IDS = tuple(f"{number:016x}" for number in range(10))


@pytest.mark.parametrize(
    ("said", "lineage"),
    [
        (IDS[:9], IDS[:9]),
        (IDS, ()),
        ((IDS[0], IDS[1], IDS[1]), ()),
        ((IDS[0] + "0",), ()),
        ((IDS[0][1:],), ()),
        (("A" * 16,), ()),
        ((), ()),
    ],
)
def test_a_lineage_has_at_most_nine_ids_each_once(said: tuple[str, ...], lineage: tuple[str, ...]) -> None:
    assert wishes(f'lineage="{"/".join(said)}"') == Wishes(lineage=lineage)


@pytest.mark.parametrize(("size", "is_read"), [(64, True), (65, False)])
def test_a_key_has_at_most_64_bytes(size: int, is_read: bool) -> None:
    attribute = f'key="{b2a_base64(b"k" * size, newline=False).decode()}"'
    if is_read:
        assert wishes(attribute) == Wishes(key="k" * size)
    else:
        with pytest.raises(RemoteProtocolError, match="a key or a value that is none"):
            wishes(attribute)


def test_of_the_name_of_a_hold_40_characters_are_kept() -> None:
    assert wishes(f'hold_as="{"n" * 41}"') == Wishes(hold_as="n" * 40)
