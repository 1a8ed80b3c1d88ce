"""Several locks at once that the daemon's own process holds, as programs that embed one do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail

from flom.core.effects import Delivered, Granted
from flom.core.protocol.parts import HeldPart, show_locks
from flom.core.requests import SetRequest
from flom.core.several import AskedAll, not_to_convert
from flom.server.local import LocalLock, request_of

if TYPE_CHECKING:
    from flom.core.modes import LockMode, ModeName
    from flom.core.names import ResourceName
    from flom.server.arbiter import DeferredArbiter


class LocalLocks(LocalLock):
    """One call of L{DeferredArbiter.acquire_all}: likewise, for several locks."""

    def __init__(self, arbiter: DeferredArbiter, asked: AskedAll, what: str) -> None:
        super().__init__(arbiter, asked.parts[0], what)
        self._wanted = asked
        self._grants: dict[ResourceName, HeldPart] = {}

    def _show(self, state: str) -> str:
        return show_locks(self._wanted.message(""), [part.element for part in self.parts], state)

    @property
    def parts(self) -> tuple[HeldPart, ...]:
        names = [asked.name for asked in self._wanted.parts]
        return tuple(self._grants.get(name, HeldPart(name.text, None, None)) for name in names)

    def ask(self) -> None:
        self._arbiter.request_all(SetRequest(tuple(request_of(self.session, asked) for asked in self._wanted.parts)))

    def convert(self, mode: LockMode | ModeName | int, *, timeout: float | None = None) -> Deferred[None]:
        return fail(not_to_convert(self._wanted.title))

    def _release(self, rollback: bool) -> None:
        self._arbiter.release_all(self.session, rollback=rollback)

    def _take(self, effect: Delivered) -> None:
        if isinstance(effect, Granted):
            name = effect.request.name
            self._grants[name] = HeldPart(name.text, effect.element, effect.token)
            if len(self._grants) == len(self._wanted.parts):
                self.granted.callback(self)
        else:
            super()._take(effect)
