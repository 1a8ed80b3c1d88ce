"""
The word that a leader leaves for the next one, as it stands in C{PREFIX/word}: when it was left, and the text.

It is read once, by the transaction that wins. But a restore of etcd from a backup may bring back one that was read long
ago, and a daemon that has seen nothing of etcd since then cannot know it by its epoch. So an old word is none.
"""

from __future__ import annotations

from typing import Final

MOST_AGE: Final = 60.0
"""
Seconds after which a word is none, by the wall clocks of both daemons, of which one may be as much behind.

Where clocks differ by more, each leader waits until all sessions of the one before have ended.
"""


def write_word(text: str, wall: float) -> bytes:
    """Return what is written for C{text}, which was left at C{wall}, seconds since the epoch; nothing for no text."""
    return f"{wall:.0f} {text}".encode("utf-8", "surrogateescape") if text else b""


def read_word(written: bytes, wall: float) -> tuple[str, str]:
    """
    Return the text of a word, and why it is not used.

    @param wall: the time now, seconds since the epoch.
    @return: the text, C{""} if there is none or it is not used; and why not, C{""} if it is, or if there is none.
    """
    if not written:
        return "", ""
    at, _, text = written.decode("utf-8", "surrogateescape").partition(" ")
    if not at.isascii() or not at.isdigit() or len(at) > 15:
        return "", "it does not say when it was left"
    age = wall - int(at)
    if abs(age) > MOST_AGE:
        return "", f"by the clocks, it was left {abs(age):.0f} s {'ago' if age > 0 else 'from now'}"
    return text, ""
