"""C{flomctl fence}: a command that runs only if its lock has not been lost to a later holder."""

from __future__ import annotations

import os

from flom.codes import ExitStatus
from flom.core.modes import LockMode, compatible
from flom.ctl.output import print_error
from flom.errors import NoProcess
from flom.fencing import Fence, FencingError, InvalidToken, StaleToken
from flom.job.environment import inherited_environment
from flom.job.signals import changed_by_python
from flom.job.words import CannotExecute, execute
from flom.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence


def run_fenced(arguments: Namespace) -> int:
    """Become the command, or print why not and return the status to exit with."""
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    try:
        if not words:
            raise CannotExecute("No command to execute!")
        Fence(arguments.file).check(_token())
        for number in changed_by_python():
            signal.signal(number, signal.SIG_DFL)
        execute(words, _become)
    except StaleToken as e:
        print_error(str(e))
        return ExitStatus.FENCED
    except InvalidToken as e:
        print_error(str(e))
        return ExitStatus.NO_TOKEN
    except FencingError as e:
        print_error(str(e))
        return ExitStatus.ERROR
    except (CannotExecute, NoProcess) as e:
        print_error(str(e))
        return ExitStatus.CANNOT_EXECUTE
    raise AssertionError("the command has come back")


def _token() -> str:
    """Return the text of the token, or raise L{InvalidToken}."""
    token, mode = os.environ.get("FLOM_TOKEN"), os.environ.get("FLOM_LOCK_MODE", "EX")
    if token is None and "\n" in os.environ.get("FLOM_RESOURCES", ""):
        raise InvalidToken("there are several locks: set FLOM_TOKEN to the token of one, which FLOM_RESOURCES has")
    if token is None:
        raise InvalidToken("there is no FLOM_TOKEN: run this under flom-run, with a daemon that is not FLoM's")
    if mode in LockMode.__members__ and compatible(LockMode[mode], LockMode[mode]):
        raise InvalidToken(f"a lock of mode {mode} has other holders beside it, whose tokens are higher or lower")
    return token


def _become(words: Sequence[str]) -> None:
    os.execvpe(words[0], list(words), inherited_environment())
