"""Clients of an arbiter without connections."""

from __future__ import annotations

from flom.core.effects import Delivered, Granted
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Wishes
from flom.core.requests import LockRequest, SetRequest
from flom.server.arbiter import DeferredArbiter


class Session:
    """
    A session of an arbiter.

    @ivar effects: delivered to it.
    @ivar id: names it.
    """

    def __init__(self, arbiter: DeferredArbiter) -> None:
        self.effects: list[Delivered] = []
        self._arbiter = arbiter
        self.id = arbiter.open(self.effects.append)

    def ask(
        self,
        name: str,
        quantity: int = 1,
        *,
        mode: LockMode = LockMode.EX,
        wait: bool = True,
        regains: bool = False,
        holder: int = 0,
        waited: float = 0.0,
        wishes: Wishes | None = None,
    ) -> Session:
        how = {"mode": mode, "quantity": quantity, "wait": wait, "regains": regains, "holder": holder, "waited": waited}
        asked = LockRequest(self.id, parse_name(name), **how, wishes=wishes)  # type: ignore[arg-type]
        self._arbiter.request(asked)
        return self

    def ask_all(
        self, *names: str, wait: bool = True, waited: float = 0.0, regains: bool = False, lineage: tuple[str, ...] = ()
    ) -> Session:
        """Ask for several at once; for one, plainly."""
        wishes = Wishes(lineage=lineage) if lineage else None
        parts = tuple(
            LockRequest(self.id, parse_name(name), wait=wait, waited=waited, regains=regains, wishes=wishes)
            for name in names
        )
        if len(parts) > 1:
            self._arbiter.request_all(SetRequest(parts))
        else:
            self._arbiter.request(parts[0])
        return self

    @property
    def granted(self) -> list[str]:
        """What it was granted so far."""
        return [effect.request.name.text for effect in self.effects if isinstance(effect, Granted)]

    def ask_lifespan(self, name: str, lifespan: float) -> Session:
        """Ask for what is remembered for C{lifespan} seconds."""
        self._arbiter.request(LockRequest(self.id, parse_name(name), lifespan=lifespan))
        return self

    def convert(self, name: str, mode: LockMode, *, wait: bool = True, number: int = 0) -> bool:
        """Ask for another mode of what it holds; return whether that is decided, or waits."""
        return self._arbiter.convert(self.id, parse_name(name), mode, wait=wait, number=number)

    def release(self, name: str) -> None:
        self._arbiter.release(self.id, parse_name(name))

    def leave(self) -> None:
        """Lose the connection."""
        self._arbiter.drop(self.id)

    def kinds(self) -> list[type]:
        """Return the classes of the effects so far."""
        return [type(effect) for effect in self.effects]
