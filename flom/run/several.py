"""Several C{-r} on one command line: all of these locks are taken at once, or none (docs/howto/several-locks.md)."""

from __future__ import annotations

from flom.config import override
from flom.core.names import parse_name
from flom.core.several import check_several
from flom.errors import ConfigError, FlomError, LockBusy, LockRefused, LockTimeout
from flom.job.wording import Wording
from flom.run.program import check_lock
from flom.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from flom.config import Config, Setting

    Options = list[tuple[Setting, str]]

OF_EACH: Final = frozenset({"resource_type", "lock_mode", "quantity", "create", "idle_lifespan_ms"})
"""Fields of the options that are about the C{-r} before them; all others are about the command line as a whole."""


def split_options(options: Options) -> tuple[Options, list[Options]]:
    """
    Return the options that hold for all locks, and those of each: a C{-r}, and what is L{OF_EACH} until the next one.

    The last is empty unless there are two C{-r} or more.
    """
    count = [setting.field for setting, _ in options].count("resource_name")
    if count < 2:
        return options, []
    for_all: Options = []
    for_each: list[Options] = []
    for setting, text in options:
        if setting.field == "resource_name":
            for_each.append([(setting, text)])
        elif for_each and setting.field in OF_EACH:
            for_each[-1].append((setting, text))
        else:
            for_all.append((setting, text))
    return for_all, for_each


def configure_each(config: Config, for_each: Sequence[Options], warn: Callable[[str], None]) -> tuple[Config, ...]:
    """
    Return a configuration for each lock: C{config}, overridden by its own options.

    @raise ConfigError: an option has no value that can be used, or two of the names are of one resource.
    """
    configs = tuple(override(config, own, warn) for own in for_each)
    try:
        check_several([parse_name(each.resource_name) for each in configs])
    except FlomError as e:
        raise ConfigError(f"resource-name: {e}") from None
    return configs


def check_use(for_all: Options, for_each: Sequence[Options], configs: Sequence[Config]) -> None:
    """
    Check that the options about locks are of use: each of one lock for that, and those C{for_all} for any of them.

    @raise ConfigError: one is not, or a name is of another type than what is meant.
    """
    for own, config in zip(for_each, configs, strict=True):
        config.check_type()
        check_lock({setting.field for setting, _ in own}, config)
    given = {setting.field for setting, _ in for_all}
    why: ConfigError | None = None
    for config in configs:
        try:
            check_lock(given, config)
            return
        except ConfigError as e:
            why = why or e
    if why is not None:
        raise why


class WordingOfSeveral(Wording):
    """The lines of C{flom-run} about several locks: each names all of them, or the one that it is about."""

    def __init__(self, program: str, config: Config, *others: Config) -> None:
        super().__init__(program, config)
        self._each = {each.resource_name: each for each in (config, *others)}

    def refused(self, error: Exception, held: str = "") -> str:
        match error:
            case LockTimeout() if held:
                return self._about(f"not all granted within {self._config.timeout or 0.0:g} s: {held}")
            case LockTimeout() if type(error) is LockTimeout:
                return self._about(f"not all granted within {self._config.timeout or 0.0:g} s")
            case LockBusy():
                return self._about(f"not all are free{held and f': {held}'}")
            case LockRefused(resource=str(name)) if name in self._each:
                return f"{Wording(self._program, self._each[name]).refused(error)}; none of the locks was taken"
            case _:
                return super().refused(error, held)

    @property
    def _name(self) -> str:
        return listed(list(self._each))
