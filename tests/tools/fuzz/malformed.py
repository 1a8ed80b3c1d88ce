"""
What no client should send: messages that are nearly right, damaged ones, and bytes that are none.

All choices are those of a C{random.Random}, so that a seed, hypothesis or a fuzzer can make them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from random import Random
from typing import Final, TypeVar

from tests.fakes.replay import TRANSCRIPTS
from tests.tools.fuzz.messages import NAMES, PEER_ID

Part = TypeVar("Part")

GOLDEN: Final[list[bytes]] = sorted(
    {
        step[way].replace("{PEERID}", PEER_ID).encode("utf-8", "surrogateescape")
        for transcript in TRANSCRIPTS.values()
        for step in transcript["steps"]
        for way in ("send", "recv")
        if way in step
    }
)
"""Every text that was recorded between FLoM's clients and its daemon."""

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" ?>'
_PROLOGS: Final = [
    "",
    " \n",
    '<?xml version="1.0"?>',
    '<?xml version="1.1" encoding="UTF-8" ?>',
    '<?xml version="1.0" encoding="latin-1" ?>',
    "<?xml version='1.0' encoding='utf-8' standalone='yes'?>",
    "\ufeff" + _DECLARATION,
    _DECLARATION + _DECLARATION,
    _DECLARATION + " ",
    _DECLARATION + "<!-- hello -->",
    _DECLARATION + "<!DOCTYPE msg>",
    _DECLARATION + '<!DOCTYPE msg [<!ENTITY e "5">]>',
    _DECLARATION + "hello",
]
_HEADERS: Final = (
    [(1, 8)] * 4
    + [(2, 8)] * 2
    + [(1, 12), (1, 16), (1, 24), (1, 32), (2, 16), (3, 8)]
    + [(4, 8), (4, 16), (5, 8), (5, 16)]
)
_NUMBERS: Final = (
    ["0", "1", "2", "3", "4", "5", "6", "8", "16", "24", "32", "511", "2147483647", "2147483648", "-1", "-14", "-0"]
    + ["", " ", "+3", " 3", "\t3", "3 ", "3x", "x3", "03", "3.0", "0x3", "1_0", "1e3", "--1", "+-1"]
    + ["9" * 30, "-" + "9" * 30, "&#51;", "&#x33;", "&#10;3", "&lt;3", "&e;"]
    + ["\u0663", "\uff13", "\u00b2", "\u00a03", "\u20033"]  # digits and blanks, but not for C
)
_ODD_NAMES: Final = ["R1\n", "1R", "N[03]", "N[" + "9" * 25 + "]", "a.a", "/t//a", "/" + "\u00e9" * 60]
_NAMES: Final = (
    [b64encode(name.encode()).decode() for name in NAMES + _ODD_NAMES]
    + ["", "UjE", "UjE==", "UjE=UjE=", "U jE=", "Uj\nE=", "Uj\u00a0E=", "Uj&#69;=", "UjE&#61;"]
    + ["!!!!", "====", "A=B=", "U*jE=", "-_-_", "L3Q=L3Q="]
    + ["4pyT", "L+KckA==", "L+2ggA==", "/w==", "L/8=", "UjEA", "UjEK", "UjEvUjI="]
)
_TEXTS: Final = (
    [PEER_ID, PEER_ID, "", "a b", "x" * 300, "\u00e9\u2713", "\U0001f512", "\x7f", "\x01"]
    + ["&amp;", "&quot;", "&apos;", "&lt;&gt;", "&#65;", "&#x10FFFF;", "&#0;", "&#xD800;", "&#9;&#10;&#13;", "&bogus;"]
    + ["a>b", "a<b", "a&b", "a'b", 'a"b', "]]>", "a\tb", "a\nb", "a\r\nb", "/>", "</msg>"]
)
_ATTRIBUTES: Final[dict[str, list[str]]] = {
    "msg": ["level", "verb", "step", "extended", "holder", "session", "epoch", "timeout", "succession", "required"],
    "session": ["peerid"],
    "resource": ["name", "mode", "wait", "create", "lifespan", "quantity", "rollback", "regains", "holder"]
    + ["session", "element", "token", "proof", "more"],
    "answer": ["rc", "element", "token", "proof"],
    "network": ["address", "port"],
    "shutdown": ["immediate"],
    "status": ["name", "size"],
}
_STRANGE: Final = ["foo", "Name", "NAME", "xml:lang", "a:b", "xmlns", "mode2", "é", "1a", "level", "verb", "name"]
_LOCKS: Final = [
    ["name", "mode", "wait", "create", "lifespan"],
    ["name", "wait", "quantity", "create", "lifespan"],
    ["name", "wait", "create", "lifespan"],
    ["name", "mode", "wait", "create", "lifespan", "regains"],
    ["name", "wait", "create", "lifespan", "regains", "holder", "element", "token", "proof"],
    ["name", "mode", "wait", "create", "lifespan", "more"],
]
_BODIES: Final[dict[tuple[int, int], list[list[tuple[str, list[str]]]]]] = {
    (1, 8): [[("session", ["peerid"]), ("resource", lock)] for lock in _LOCKS] + [[("resource", _LOCKS[0])]],
    (1, 12): [[("resource", ["holder", "session", "element", "token", "proof", "waited"])], [("resource", [])]],
    (1, 16): [[("session", ["peerid"]), ("answer", ["rc"])], [("session", ["peerid"]), ("answer", ["rc", "element"])]],
    (1, 24): [[("answer", said)] for said in (["rc"], ["rc", "element"], ["rc", "token"], ["rc", "element", "token"])],
    (1, 32): [[("answer", ["rc"])]],
    (2, 8): [[("resource", ["name", "rollback"])]],
    (4, 16): [[("network", ["address", "port"])]],
    (5, 8): [[("session", ["peerid"]), ("status", [])], [("session", ["peerid"]), ("shutdown", ["immediate"])]],
    (5, 16): [[("status", ["size"])]],
}
"""How FLoM and we fill messages."""

_TOKENS: Final = (
    [b"<msg", b"</msg>", b"<resource ", b"<session ", b'name="UjE="', b'mode="5"', b'level="3"', b'verb="1"']
    + [b'"', b"'", b"<", b">", b"/", b"&", b";", b"=", b" ", b"\n", b"\0", b"&amp;", b"&#10;"]
    + [b"\xff", b"\xc3", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x16\x03\x01", b"\x15\x03"]
    + [b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"?>", b"<!DOCTYPE msg>"]
)
_USUAL: Final = {
    "level": ["3"],
    "mode": list("012345"),
    "rc": list("01245"),
    "lifespan": ["0", "0", "1500"],
    "port": ["28015"],
    "size": ["100"],
}


def near_canonical(random: Random) -> bytes:
    """Write a message as FLoM does, but for up to a handful of deviations, any of which may make it none."""
    return _Writer(random, random.choice([0.0, 0.02, 0.05, 0.15])).write()


class _Writer:
    """Writes a message, and deviates at a rate from how it is done."""

    def __init__(self, random: Random, rate: float) -> None:
        self._random = random
        self._rate = rate

    def _is_odd(self) -> bool:
        return self._random.random() < self._rate

    def _either(self, usual: str, odd: list[str]) -> str:
        return self._random.choice(odd) if self._is_odd() else usual

    def _disarrange(self, parts: list[Part]) -> list[Part]:
        """Return C{parts}, perhaps in another order, perhaps without one of them."""
        parts = list(parts)
        if self._is_odd():
            self._random.shuffle(parts)
        if parts and self._is_odd():
            parts.pop(self._random.randrange(len(parts)))
        return parts

    def write(self) -> bytes:
        random = self._random
        self._header = random.choice(_HEADERS)
        body = list(random.choice(_BODIES.get(self._header, [[]])))
        if self._is_odd():
            body.append((random.choice(list(_ATTRIBUTES)), []))
        msg = ["level", "verb", "step"] + (["extended"] if random.random() < 0.2 else [])
        text = self._either(_DECLARATION, _PROLOGS)
        text += self._tag("msg", msg, self._either(">", ["/>", " >", ">hello", "><!-- x -->"]))
        for tag, attributes in self._disarrange(body):
            ends = [" />", "/>", f"></{tag}>", f">\u00e9</{tag}>", ">", "/ >"]
            usual = " />" if self._header == (2, 8) else "/>"
            text += self._tag(tag, attributes, self._either(usual, ends))
        ends = ["</msg ></msg>", "</MSG></msg>", " </msg>", "<foo/></msg>", "</msg></msg>"]
        data = (text + self._either("</msg>", ends)).encode("utf-8", "surrogatepass")
        return _damage(random, data) if self._is_odd() else data

    def _tag(self, tag: str, attributes: list[str], end: str) -> str:
        if self._is_odd():
            attributes = [*attributes, self._random.choice(_STRANGE + _ATTRIBUTES[tag])]
        text = "<" + self._either(tag, [tag.upper(), tag + "s", "x:" + tag, "msg", "foo"])
        for attribute in self._disarrange(attributes):
            space = self._either(" ", ["", "  ", "\n", "\t", "\r\n", "\u00a0"])
            equals = self._either("=", [" = ", "= ", "", "=="])
            quote = self._either('"', ["'", "", "\u201d"])
            text += f"{space}{attribute}{equals}{quote}{self._value(attribute)}{quote}"
        return text + end

    def _value(self, attribute: str) -> str:
        verb, step = self._header
        match attribute:
            case "name":
                return self._either(self._random.choice(_NAMES[: len(NAMES)]), _NAMES)
            case "peerid" | "element" | "address" | "session" | "proof":
                return self._either(PEER_ID, _TEXTS)
            case "verb":
                return self._either(str(verb), _NUMBERS)
            case "step":
                return self._either(str(step), _NUMBERS)
            case _:
                return self._either(self._random.choice(_USUAL.get(attribute, ["0", "1"])), _NUMBERS)


def mutated(random: Random, data: bytes | None = None) -> bytes:
    """Damage C{data}, by default a recorded message, in one to four places."""
    if data is None:
        data = random.choice(GOLDEN)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        data = _damage(random, data)
    return data


def _damage(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    end = min(len(data), at + random.choice([1, 1, 1, 2, 5, 20, 100]))
    match random.randrange(7):
        case 0:
            return data[:at] + random.randbytes(1) + data[at + 1 :]
        case 1:
            return data[:at] + data[end:]
        case 2:
            return data[:end] + data[at:]
        case 3:
            return data[:at] + random.choice(_TOKENS) + data[at:]
        case 4:
            other = random.choice(GOLDEN)
            return data[:at] + other[random.randint(0, len(other)) :]
        case 5:  # another number
            numbers: list[re.Match[bytes]] = list(re.finditer(rb'(?<=")[-+0-9]+(?=")', data))
            if not numbers:
                return data
            number = random.choice(numbers)
            return data[: number.start()] + random.choice(_NUMBERS).encode() + data[number.end() :]
        case _:  # attributes change places
            attributes: list[re.Match[bytes]] = list(re.finditer(rb' [a-z]+="[^"]*"', data))
            if len(attributes) < 2:
                return data
            one, other_one = sorted(random.sample(attributes, 2), key=lambda match: match.start())
            middle = data[one.end() : other_one.start()]
            return b"".join([data[: one.start()], other_one[0], middle, one[0], data[other_one.end() :]])


def garbage(random: Random) -> bytes:
    """Return bytes of any of the kinds above, or none of them."""
    match random.randrange(6):
        case 0:
            return random.randbytes(random.choice([1, 10, 100, 1000]))
        case 1:
            return b"".join(random.choice(_TOKENS) for _ in range(random.randint(1, 40)))
        case 2 | 3:
            return mutated(random)
        case _:
            return near_canonical(random)


def cut(random: Random, data: bytes) -> list[bytes]:
    """Cut C{data} anywhere, not at all, or into single bytes."""
    match random.randrange(4):
        case 0:
            return [data]
        case 1:
            return [data[at : at + 1] for at in range(len(data))]
        case _:
            places = sorted(random.randint(0, len(data)) for _ in range(random.randint(1, 5)))
            return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)], strict=True)]
