"""The value of a resource, as the holder of a lock knows and sets it (docs/howto/once-per-period.md)."""

from __future__ import annotations

from flom.core.modes import EX, PW
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Note, Unlock
from flom.core.requests import check_text
from flom.errors import InvalidRequest, LocalProtocolError, Misuse, ValueNotKept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.core.modes import LockMode
    from flom.core.protocol.messages import Told, Unlocked


class HeldValue:
    """
    The value that the daemon has told with the grant, until another one is set.

    @ivar value: it is.
    @ivar note: what is to be kept at the release; C{None} if nothing was set.
    """

    def __init__(self, name: str, told: Told) -> None:
        """@param name: of the resource."""
        self._name = name
        self.value = told.value
        self.note: Note | None = None

    def set(self, text: str, mode: LockMode) -> None:
        """
        Make C{text} the value from the release on.

        @param mode: in which the lock is held.
        @raise InvalidRequest: it has more than 64 bytes, or is no text; or the lock is held in a mode in which that is
            not possible.
        """
        note = Note(text)
        check_note(self._name, note, mode)
        self.value, self.note = text, note


def check_note(name: str, note: Note, mode: LockMode) -> None:
    """
    Raise L{InvalidRequest} if C{note}, whose value the holder has set, cannot be kept; see L{HeldValue.set}.

    @param name: of the resource.
    """
    try:
        check_text("value", note.value)
        if mode not in (EX, PW):
            raise InvalidRequest(f"the value can be set in mode EX or PW, not {mode.name}")
        try:
            encode(Unlock(name, note=note))
        except LocalProtocolError:
            raise InvalidRequest("the name of the resource is too long for a value") from None
    except InvalidRequest as e:
        e.concern(name)
        raise


def known_value(value: HeldValue | None, resource: str) -> HeldValue:
    """Return C{value}; raise L{Misuse} if it was not asked for."""
    if value is None:
        raise Misuse(f"{resource}: its value was not asked for, by value=True")
    return value


def check_kept(note: Note | None, word: Unlocked, peer: str) -> None:
    """Raise L{ValueNotKept} if there is a C{note}, and it is not kept, as the daemon C{peer} has said by C{word}."""
    if note is not None and not word.kept:
        raise ValueNotKept(word.why or f"{peer} has not confirmed it")
