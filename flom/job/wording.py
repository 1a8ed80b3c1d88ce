"""What a program that runs a command under a lock says when something is wrong, and its exit status."""

from __future__ import annotations

from flom.codes import ExitStatus, Outcome
from flom.config import SIGNAL_NAMES
from flom.core.names import DEFAULT_NAME, NumericName, SetName, parse_name
from flom.errors import (
    AlreadyDone,
    CannotWait,
    DaemonLost,
    InvalidTimestampFormat,
    LockBusy,
    LockDeadlock,
    LockRefused,
    LockTimeout,
    ValueNotKept,
)
from flom.job.words import CannotExecute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.config import Config
    from flom.errors import FlomError


def status_for(error: Exception, conflict: int = ExitStatus.BUSY) -> int:
    """
    Return the status to exit with because of C{error} (docs/compatibility.md, "Exit statuses").

    @param conflict: the status if the lock is another client's.
    """
    match error:
        case LockTimeout() | LockBusy():
            return conflict
        case CannotWait():
            return ExitStatus.CANNOT_WAIT
        case CannotExecute():
            return ExitStatus.CANNOT_EXECUTE
        case LockDeadlock():
            return ExitStatus.DEADLOCK
        case AlreadyDone():
            return ExitStatus.ALREADY_DONE
        case ValueNotKept():
            return ExitStatus.NOT_KEPT
        case _:
            return ExitStatus.ERROR


def unmeant_set(config: Config) -> str | None:
    """Return a warning if the resource is a set, which a dot makes of a name, and C{config} does not say so too."""
    name = parse_name(config.resource_name)
    if not isinstance(name, SetName) or config.resource_type:
        return None
    return (
        f"'{name.text}' is a set: it lets {len(name.elements)} commands run at once, and each gets an element as its "
        f"last argument; --type set says that this is meant, and '/{name.text}' is one lock"
    )


class Wording:
    """
    The lines of C{flom-run}: each names the program and the resource, what is wrong, and what can be done.

    @cvar names_holders: whether it is said who holds what is waited for, or was not to be had.
    @cvar sums_up: whether C{-V} ends with a line about all of it.
    @cvar tells_lineage: whether the daemon and the command are told which locks it runs under.
    @cvar has_control: whether the command gets a descriptor by which it can have its lock converted.
    @cvar lost_status: the status because of a lock that was lost.
    """

    names_holders = True
    sums_up = True
    tells_lineage = True
    has_control = True
    lost_status = ExitStatus.LOST

    def __init__(self, program: str, config: Config) -> None:
        """@param config: says what was asked for."""
        self._program = program
        self._config = config

    def adapt(self, config: Config) -> None:
        """Note what C{config} has become since we know of which kind the daemon is."""
        self._config = config

    def refused(self, error: Exception, held: str = "") -> str:
        """
        Return the line about C{error}, because of which no command runs.

        @param held: by whom the resource is held, if that is known, as in C{"by pid 4711 (root, backup) for 37 s"}.
        """
        config, name = self._config, parse_name(self._config.resource_name)
        match error:
            case LockTimeout() if held:
                return self._about(f"still locked after {config.timeout or 0.0:g} s {held}")
            case LockTimeout() if type(error) is LockTimeout:  # others know better why
                return self._about(f"not granted within {config.timeout or 0.0:g} s")
            case LockBusy():
                return self._about(f"locked {held}".rstrip())
            case CannotWait():
                return self._about("it does not exist, and is neither to be created (-e no) nor waited for (-o 0)")
            case LockRefused(outcome=Outcome.IMPOSSIBLE) if isinstance(name, NumericName):
                return self._about(f"{config.quantity} wanted (-q), and there are only {name.total}")
            case InvalidTimestampFormat():
                return self._about(str(error))
            case CannotExecute() if config.resource_name == DEFAULT_NAME:
                return f"{self._program}: {error}; if it is to be the lock, -r names that"
            case _:
                return f"{self._program}: {error}"

    def lost(self, why: FlomError, *, has_ended: bool = False) -> str:
        """
        Return the line that the lock was lost before it was released.

        @param has_ended: true if the command has ended too.
        """
        fate = "" if has_ended else f"; {self._fate('the command goes on unlocked')}"
        return self._about(f"the lock was lost: {self._cause(why)}{fate}")

    def contested(self, why: FlomError, *, has_ended: bool = False) -> str:
        """
        Return the line that the lock, which is held, was granted by another daemon of the group too, as C{why} says.

        @param has_ended: true if the command has ended too.
        """
        fate = "" if has_ended else f"; {self._fate('the command goes on')}"
        return self._about(f"{self._cause(why)}, while neither could hear the other{fate}")

    def not_reclaimed(self, why: DaemonLost, error: FlomError, *, has_ended: bool = False) -> str:
        """Return the line that the lock was lost because of C{why}, and not reclaimed because of C{error}."""
        return self.lost(unreclaimed(why, error), has_ended=has_ended)

    def not_kept(self, why: FlomError) -> str:
        """Return the line that the command has ended with 0, and what was to be kept then is not, because of C{why}."""
        return self._about(f"the command has ended with 0, but that is not kept: {self._cause(why)}")

    def outlived(self, seconds: float) -> str:
        """Return the line that the command has outlived SIGTERM by C{seconds}, so that SIGKILL follows."""
        return self._about(f"the command has not ended within {seconds:.3g} s; it gets SIGKILL")

    def account(self, text: str) -> str:
        """Return the line at the end that says by C{text} how it went."""
        return self._about(text)

    def _fate(self, left_alone: str) -> str:
        """Return what becomes of the command, whose lock was lost: C{left_alone}, or the signal that it gets."""
        number = self._config.lost_signal
        return left_alone if number is None else f"the command gets {SIGNAL_NAMES[number - 1]}"

    def _cause(self, why: FlomError) -> str:
        """Return the text of C{why} without the resource, if that stands in front of it."""
        return str(why).removeprefix(f"{self._name}: ")

    def _about(self, text: str) -> str:
        return f"{self._program}: {self._name}: {text}"

    @property
    def _name(self) -> str:
        """What is, or was to be, locked."""
        return self._config.resource_name


def unreclaimed(why: DaemonLost, error: Exception) -> DaemonLost:
    """Return the error that the lock was lost because of C{why}, and not reclaimed because of C{error}."""
    # a daemon refuses too what another client may have had meanwhile
    reason = "another client has it, or may have had it since" if isinstance(error, LockBusy) else str(error)
    return DaemonLost(f"{why}, and the lock was not reclaimed ({reason})", why.code)
