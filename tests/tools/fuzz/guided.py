"""
The target of atheris: a fuzzer that is led by what lines an input reaches.

C{python -m tests.tools.fuzz.guided [OPTION-OF-LIBFUZZER...] [CORPUS]}; a failing input is saved as C{crash-...}, and
replayed by giving its name as the only argument.
"""

from __future__ import annotations

import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["flom.core", "flom.server.connection", "flom.server.arbiter"]):
    from tests.tools.fuzz.corpus import MADE, RAW, SCENE, SESSION
    from tests.tools.fuzz.malformed import garbage, near_canonical
    from tests.tools.fuzz.properties import check_against_expat, check_cutting, check_sessions
    from tests.tools.fuzz.scene import Scene


class Chosen(Random):
    """Makes the choices that some bytes say, then any."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._data = data
        self._at = 0

    def getrandbits(self, k: int) -> int:
        size = (k + 7) // 8
        taken = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(taken, "big") % (1 << k) if len(taken) == size else super().getrandbits(k)

    def random(self) -> float:
        return self.getrandbits(16) / 65536


def try_input(data: bytes) -> None:
    """
    Play what C{data} says.

    @raise Exception: something is wrong; a breach of the protocol is not.
    """
    kind, rest = data[:1], data[1:]
    kinds = [SCENE, SESSION, MADE, RAW]
    what, random = kinds[kind[0] % len(kinds)] if kind else RAW, Chosen(rest)
    if what == SCENE:
        Scene(random).play(40)
    elif what == SESSION:
        check_sessions(random)
    else:
        for stream in [rest] if what == RAW else [near_canonical(random), garbage(random)]:
            check_against_expat(stream)
            check_cutting(stream, random)


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_input)
    atheris.Fuzz()
