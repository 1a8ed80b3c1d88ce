"""What is kept durably, in memory: a test decides when a write is durable, or that it fails."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from flom.server.store import Store


class MemoryStore(Store):
    """
    Stands in for the stores of L{flom.server}.

    @ivar texts: what is durable by now; give the same to another store, which is the next daemon's.
    @ivar is_slow: true to leave writes undone until L{finish} or L{fail}.
    """

    def __init__(self, texts: dict[str, str] | None = None, *, is_slow: bool = False) -> None:
        super().__init__("")
        self.texts = {} if texts is None else texts
        self.is_slow = is_slow
        self._undone: list[tuple[str, str | None, Deferred[None]]] = []

    def load(self) -> dict[str, str]:
        return dict(self.texts)

    def write(self, key: str, text: str | None) -> Deferred[None]:
        written: Deferred[None] = Deferred(lambda _: None)
        self._undone.append((key, text, written))
        if not self.is_slow:
            self.finish()
        return written

    @property
    def undone(self) -> list[tuple[str, str | None]]:
        """What is to be written, and is not yet."""
        return [(key, text) for key, text, _ in self._undone]

    def finish(self) -> None:
        """Make what is undone durable, and say so."""
        undone, self._undone = self._undone, []
        for key, text, _ in undone:
            if text is None:
                self.texts.pop(key, None)
            else:
                self.texts[key] = text
        for *_, written in undone:
            if not written.called:
                written.callback(None)

    def fail(self, error: Exception) -> None:
        """Say that what is undone has failed, by C{error}."""
        undone, self._undone = self._undone, []
        for *_, written in undone:
            if not written.called:
                written.errback(error)
