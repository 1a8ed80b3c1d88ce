"""
What a command line asks for that is kept with the resource beyond the lock: once per period, and values
(docs/howto/once-per-period.md).
"""

from __future__ import annotations

import os
from time import time

from flom.config.parsers import Unclear, read_timeout
from flom.core.modes import EX, PW
from flom.core.names import parse_name
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Note, Unlock, Wishes
from flom.core.requests import check_text
from flom.core.values import MAX_BY
from flom.errors import AlreadyDone, ConfigError, InvalidRequest, LocalProtocolError, RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.config import Config
    from flom.core.modes import LockMode
    from flom.core.protocol.messages import Lock, Told
    from flom.errors import FlomError
    from flom.job.command_line import CommandLine


class KeptWishes:
    """
    What a command wants of what is kept, checked.

    @ivar period: seconds within which the job is not to be run again; C{None} if it is to be run in any case.
    @ivar key: of the job.
    @ivar skips_quietly: whether a job that is not run is no news: status 0, and no line.
    @ivar value: the value that the resource is to have; C{None} for the present one.
    """

    def __init__(self, line: CommandLine, config: Config) -> None:
        """
        Check what C{line} asks for.

        @raise ConfigError: it makes no sense, or not together with C{config}.
        """
        self.period = None if line.once_per is None else _read_period(line.once_per)
        self.key = _checked("key", line.key or "")
        self.skips_quietly = line.skip_ok
        self.value = None if line.value is None else _checked("value", line.value)
        if self.period is None:
            for option, is_given in ("key", line.key is not None), ("skip-ok", line.skip_ok):
                if is_given:
                    raise ConfigError(f"{option}: it is for --once-per, which is not given")
        self._check_lock(config)

    def wish(self, request: Lock) -> Lock:
        """Return C{request} with what is wished of the daemon."""
        key = None if self.period is None else self.key
        return request.replace(wishes=(request.wishes or Wishes()).replace(value=True, key=key))

    def why_done(self, name: str, told: Told | None) -> FlomError | None:
        """
        Return the error that the job is not to be run; C{None} if it is.

        @param name: of the resource.
        @param told: what the daemon has told with the grant; C{None} of one that has been handed the lock by another
            one, and knows nothing of it, so that it is not known whether the job is to be run.
        """
        if self.period is None:
            return None
        if told is None:
            return RemoteProtocolError(f"{name}: the daemon has not told whether the job was done, so it is not run")
        if told.done is None or told.done >= self.period:
            return None
        from flom.status.wording import spell_moment, spell_seconds  # which most commands do not need

        what = f"{name}: {self.key}: done" if self.key else f"{name}: done"
        by = f" by {told.by}" if told.by else ""
        when = f"{spell_seconds(told.done)} ago, at {spell_moment(time() - told.done)}"
        return AlreadyDone(f"{what}{by} {when}; it is not run again within {_spell(self.period)}")

    def skips(self, error: FlomError) -> bool:
        """Return whether C{error}, because of which nothing is run, is no news."""
        return self.skips_quietly and isinstance(error, AlreadyDone)

    def note(self) -> Note | None:
        """Return what is to be kept when the command has ended with 0; C{None} for nothing."""
        if self.period is None and self.value is None:
            return None
        return self._note_with(self.value)

    def set_value(self, name: str, text: str, mode: LockMode) -> None:
        """
        Make C{text} the value that the resource is to have, as the command has asked while it runs.

        @param name: of the resource.
        @param mode: in which the lock is held.
        @raise flom.errors.InvalidRequest: see L{flom.core.held_value.HeldValue.set}.
        """
        from flom.core.held_value import check_note  # which few commands need

        check_note(name, self._note_with(text), mode)
        self.value = text

    def _note_with(self, value: str | None) -> Note:
        if self.period is None:
            return Note(value)
        return Note(value, self.key, self.period, os.uname().nodename[:MAX_BY])

    def _check_lock(self, config: Config) -> None:
        """Raise L{ConfigError} if the lock excludes too few others for what is wanted."""
        name, mode = parse_name(config.resource_name), config.lock_mode
        option = "once-per" if self.period is not None else "value" if self.value is not None else "read-value"
        if not name.has_mode:
            what = f"'{name.text}' is of type {name.type_name}"
            raise ConfigError(f"{option}: {what}; it is for simple and hierarchical resources")
        if self.period is not None and mode is not EX:
            raise ConfigError(f"once-per: it is for locks of mode EX, not {mode.name} (--lock-mode)")
        if self.value is not None and mode not in (EX, PW):
            raise ConfigError(f"value: it is for locks of mode EX or PW, not {mode.name} (--lock-mode)")
        try:
            note = self.note()
            encode(Unlock(name.text, note=note))
        except LocalProtocolError:
            raise ConfigError(f"{option}: the name of the resource, '{name.text}', is too long for it") from None


def _read_period(text: str) -> float:
    try:
        milliseconds = read_timeout(text)
        if not milliseconds:
            raise Unclear("it is not more than 0")
    except Unclear as e:
        raise ConfigError(f"once-per: '{text}' is an invalid value: {e}") from None
    return milliseconds / 1000


def _checked(option: str, text: str) -> str:
    try:
        return check_text(option, text)
    except InvalidRequest as e:
        why = str(e).removeprefix(f"{option} {text!r} ")
        raise ConfigError(f"{option}: '{text}' is an invalid value: it {why}") from None


def _spell(seconds: float) -> str:
    """Return C{seconds} as a whole number of the largest unit that allows that: C{"90 min"}."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"
