"""A command that runs under a hold without a process: C{flom-run --adopt} (docs/howto/holds.md)."""

from __future__ import annotations

from flom.core.handles import id_of, is_handle
from flom.core.protocol.messages import Wishes
from flom.errors import ConfigError, RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.config import Config
    from flom.core.protocol.events import Granted
    from flom.core.protocol.messages import Lock
    from flom.job.command_line import CommandLine

_OF_LOCK: Final = (
    *("resource_name", "resource_type", "lock_mode", "quantity", "timeout_ms", "create", "idle_lifespan_ms"),
    *("nested", "max_hold_ms", "lock_delay_ms"),
)
"""Settings that say what is to be locked, and how long to wait for it."""


class Adoption:
    """
    What a command line asks for, checked.

    @ivar config: the configuration in which the part of the handle that is no secret names the lock.
    """

    def __init__(self, line: CommandLine, config: Config) -> None:
        """
        Check what C{line} asks for.

        @raise ConfigError: it makes no sense, or not together with other options.
        """
        handle = line.adopt or ""
        if not is_handle(handle):
            why = "those that flomctl hold prints begin with hold-, and have 46 characters"
            raise ConfigError(f"adopt: '{handle}' is no handle: {why}")
        for setting, _ in line.options:
            if setting.field in _OF_LOCK:
                why = f"the hold says what is locked: leave out --adopt or --{setting.long}"
                raise ConfigError(f"adopt: {why}")
        if line.concerns_kept:
            raise ConfigError("adopt: values and --once-per are for locks of a command's own")
        self._handle = handle
        of_none = {"resource_type": "", "timeout_ms": 0, "create": 0}
        self.config = config.replace(resource_name=id_of(handle).replace("-", ""), **of_none)  # a name has no dash

    def wish(self, request: Lock) -> Lock:
        """Return C{request} as one to go on with the hold."""
        return request.replace(
            wait=False, create=False, wishes=(request.wishes or Wishes()).replace(adopts=self._handle)
        )

    def adopted(self, config: Config, granted: Granted) -> Config:
        """
        Return C{config} with what the hold is of.

        @raise RemoteProtocolError: the daemon has not said it.
        """
        hold = granted.hold
        if hold is None:
            raise RemoteProtocolError("the daemon has not said what the hold is of")
        return config.replace(resource_name=hold.name, lock_mode=hold.mode, quantity=hold.quantity)
