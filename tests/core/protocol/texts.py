"""Messages and their exact texts, for the tests of framing, decoding and encoding."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_MESSAGE_SIZE, MessageReader
from flom.core.protocol.messages import (
    Answer,
    Challenge,
    Contested,
    Discover,
    Discovered,
    HandedOver,
    Lock,
    ManagementRefused,
    Message,
    Offer,
    Ping,
    Proof,
    Revoke,
    RevokeAnswer,
    Revoked,
    Role,
    Shutdown,
    Standing,
    Unlock,
    Unlocked,
)

DECLARATION = '<?xml version="1.0" encoding="UTF-8" ?>'
PEER_ID = "0123456789abcdef0123456789abcdef"
SESSION = f'<session peerid="{PEER_ID}"/>'
CANDIDATE = Standing("0123456789abcdef", Role.CANDIDATE, 1_700_000_000_000)
LEADER = CANDIDATE.replace(role=Role.LEADER)
LEADING = 'node="0123456789abcdef" role="leader" since="1700000000000"'


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
        Lock("R1", LockMode.EX, regains=True, holder=4294967295),
        (
            '<msg level="3" verb="1" step="8"><resource name="UjE=" mode="5" wait="0" create="0" lifespan="0" '
            'regains="1" holder="4294967295"/></msg>'
        ),
    ),
    (
        Lock("a.b", regains=True, holder=7, element="b", token=4611686018427387905),
        (
            '<msg level="3" verb="1" step="8">'
            '<resource name="YS5i" wait="0" create="0" lifespan="0" '
            'regains="1" holder="7" element="b" token="4611686018427387905"/></msg>'
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
    (
        Answer(16, 0, "blue", PEER_ID, extended=True, token=7),
        f'<msg level="3" verb="1" step="16" extended="1">{SESSION}<answer rc="0" element="blue" token="7"/></msg>',
    ),
    (
        Answer(24, 0, token=2**63 - 1),
        '<msg level="3" verb="1" step="24"><answer rc="0" token="9223372036854775807"/></msg>',
    ),
    (
        Discover("ff02::1", standing=LEADER, port=7, number=3, epoch=5),
        f'<msg level="3" verb="4" step="8" group="ff02::1" {LEADING} address="" port="7" number="3" epoch="5"></msg>',
    ),
    (
        Challenge("ff02::1", "0123456789abcdef", "77" * 16),
        f'<msg level="3" verb="6" step="8" group="ff02::1" node="0123456789abcdef" nonce="{"77" * 16}"></msg>',
    ),
    (
        Proof(LEADER, "n", "p", "s", 20),
        f'<msg level="3" verb="6" step="16" {LEADING} nonce="n" proof="p" sealed="s" size="20"></msg>',
    ),
    (
        Discover("ff02::1", standing=LEADER, number=3, successor="00" * 8, promise="77" * 16),
        (
            f'<msg level="3" verb="4" step="8" group="ff02::1" {LEADING} number="3" successor="{"00" * 8}" '
            f'promise="{"77" * 16}"></msg>'
        ),
    ),
    (
        Offer("ff02::1", "n", "o", "s"),
        '<msg level="3" verb="6" step="24" group="ff02::1" node="n" nonce="o" sealed="s"></msg>',
    ),
    (
        Shutdown(False, PEER_ID, handover=True),
        f'<msg level="3" verb="5" step="8">{SESSION}<shutdown immediate="0" handover="1"/></msg>',
    ),
    (HandedOver("b", ""), '<msg level="3" verb="5" step="24" leader="b" why=""></msg>'),
    (Proof(None), '<msg level="3" verb="6" step="16" nonce="" proof="" sealed="" size="0"></msg>'),
    (Contested(), '<msg level="3" verb="2" step="24"></msg>'),
    (Revoked("root, pid 7"), '<msg level="3" verb="2" step="32" by="root, pid 7"></msg>'),
    (
        Revoke("R1", 7, PEER_ID, "root"),
        f'<msg level="3" verb="5" step="8" user="root">{SESSION}<release name="UjE=" number="7"/></msg>',
    ),
    (RevokeAnswer(), '<msg level="3" verb="5" step="32"></msg>'),
    (RevokeAnswer("no"), '<msg level="3" verb="5" step="32" why="no"></msg>'),
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
        Discovered("", 28015, LEADER, "db1", "1.0", alone=True),
        (
            '<msg level="3" verb="4" step="16" node="0123456789abcdef" role="leader" since="1700000000000" '
            'host="db1" version="1.0" alone="1"><network address="" port="28015"/></msg>'
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
    (
        Shutdown(immediate=False, peer_id=PEER_ID, drain=True),
        f'<msg level="3" verb="5" step="8">{SESSION}<shutdown immediate="0" drain="1"/></msg>',
    ),
    (ManagementRefused(), '<msg level="3" verb="5" step="16"><answer rc="6"/></msg>'),
]

MESSAGES = [message for message, _ in EXACT]
STREAM = b"".join(encode(message) for message in MESSAGES)
