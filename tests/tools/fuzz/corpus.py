"""What the inputs of the guided fuzzer look like, and which ones it begins with."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from tests.tools.fuzz.malformed import GOLDEN

SCENE, SESSION, MADE, RAW = range(4)
"""
What the first byte of an input makes of the others: choices of what clients do, of messages for a session or of nearly
right messages; or a stream as it is.
"""

_CHOICES: Final = 2000  # bytes


def plant(directory: Path, every: int = 1) -> None:
    """
    Write inputs into C{directory}: recorded messages, and some choices of each kind.

    @param every: takes one recorded message out of so many.
    """
    directory.mkdir(parents=True, exist_ok=True)
    inputs = [bytes([RAW]) + data for data in GOLDEN[::every]]
    inputs += [bytes([kind]) + Random(kind).randbytes(_CHOICES) for kind in (SCENE, SESSION, MADE)]
    for number, data in enumerate(inputs):
        directory.joinpath(f"seed-{number}").write_bytes(data)
