"""
What the numbers and names mean that programs of this project end with or print, and what to do about them.

L{flom.codes} has the numbers. C{flomctl explain}, the page on exit statuses and the man pages are made from this. Texts
are in Markdown, of which they use nothing but code between backquotes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flom.codes import ExitStatus

if TYPE_CHECKING:
    from typing import Final


class Meaning(NamedTuple):
    """
    One meaning of an exit status.

    @ivar status: 0 to 255.
    @ivar when: the cases in which a program exits with it.
    @ivar remedy: what to do about it; the empty string if nothing has to be done.
    @ivar word: a word or two for it, as in the line of C{flom-run -V}; the empty string if there is none.
    """

    status: int
    when: str
    remedy: str = ""
    word: str = ""


def _ours(status: ExitStatus, when: str, remedy: str = "") -> Meaning:
    return Meaning(int(status), when, remedy, status.word)


_E = ExitStatus

_READ_IT: Final = "Read that line. `flomctl doctor` finds out why a daemon is not found."
_TRY_AGAIN: Final = (
    "`flomctl status` shows who holds it. Try again later, wait for it by `--timeout`, or let `-E` choose a status "
    "that your command does not have."
)
_IT_WAS_ALONE_NO_MORE: Final = (
    "Find out what the command has done: another one may have run beside it. The line on standard error says why the "
    "lock was lost."
)
_LOOK_FOR_IT: Final = (
    "Check the name, `PATH` and whether the file may be executed. If the word is the name of a lock, `-r` goes before "
    "it."
)
_CREATE_IT: Final = "Have a command without `-e no` create it, or leave out `-o 0` to wait until one does."
_SEE_WHY: Final = "The lines before it say why."

_HOLD_IS_OVER: Final = _ours(
    _E.LOST,
    "There is no hold of this handle: it was released, or its time is over.",
    "What it was to protect may have been locked by another one meanwhile. Begin a new hold, with a longer `--ttl`.",
)

STATUSES: Final[dict[str, tuple[Meaning, ...]]] = {
    "flom-run": (
        _ours(
            _E.OK,
            "Options that run no command have done what they say; with `-x` or `-X`, the daemon has got the order. "
            "With `-E 0`, the resource was locked; with `--skip-ok`, the command had been done.",
        ),
        _ours(_E.DEBUG_FAILED, "`--debug-feature` has failed.", _SEE_WHY),
        _ours(
            _E.NOT_KEPT,
            "With `--once-per` or `--value`: the command has ended with 0, but that is not kept durably, or it is not "
            "known whether it is. The lock was released.",
            "The line on standard error says why, such as a disk that is full. Another host may run the job again.",
        ),
        _ours(
            _E.ALREADY_DONE,
            "With `--once-per`: it has been done well within the period, by this host or another one.",
            "Nothing is wrong. With `--skip-ok`, the status is 0 instead.",
        ),
        _ours(
            _E.DEADLOCK,
            "To wait would be to wait for ever: a command that this one runs under, or a circle of commands, stops it.",
            "The line on standard error names them. Take the locks in the same order everywhere, or all of them at "
            "once, by several `-r`. For a lock that the outer command holds: `--nested=share`.",
        ),
        _ours(
            _E.LOST,
            "The lock was lost, and the command was ended because of that, or has ended with 0; or the daemon did not "
            "confirm that the lock was held to the end.",
            _IT_WAS_ALONE_NO_MORE,
        ),
        _ours(_E.CANNOT_WAIT, "The resource does not exist, with `-e no -o 0`.", _CREATE_IT),
        _ours(_E.CANNOT_EXECUTE, "There is no command, or it cannot be executed.", _LOOK_FOR_IT),
        _ours(
            _E.BUSY,
            "The resource is locked, with `-o 0`, or the time of `-o` or `--timeout` is up. `-E` says another one.",
            _TRY_AGAIN,
        ),
        _ours(
            _E.ERROR,
            "Every other error; a line on standard error describes it. With `-x` or `-X`: there is no daemon, it "
            "refuses, or it is still there after closing the connection.",
            _READ_IT,
        ),
    ),
    "flom": (
        _ours(_E.OK, "Options that run no command have done what they say."),
        _ours(_E.DEBUG_FAILED, "`--debug-feature` has failed.", _SEE_WHY),
        _ours(_E.CANNOT_WAIT, "The resource does not exist, with `-e no -o 0`.", _CREATE_IT),
        _ours(_E.CANNOT_EXECUTE, "There is no command, or it cannot be executed.", _LOOK_FOR_IT),
        _ours(
            _E.BUSY,
            "The resource is locked, with `-o 0`, or the time of `-o` is up.",
            "`flomctl status` shows who holds it. Try again later, or wait longer.",
        ),
        _ours(
            _E.ERROR,
            "Every other error, and a lock that was lost where the command has ended with 0.",
            "Read the line on standard error; it may have a return code of FLoM, `ret_cod=N`, which `flomctl explain` "
            "explains too.",
        ),
    ),
    "flomctl": (
        Meaning(0, "Shown, or done. That there are no locks is fine."),
        Meaning(
            1,
            "Nothing matches, there is no such resource, no daemon, or one of FLoM's; the status may not be seen; "
            "something that was asked for has failed, or a check has found something; or a package is missing.",
            _READ_IT.replace("that line", "the line on standard error"),
        ),
        Meaning(
            2,
            "An error in the command line or a file; `top` without a terminal.",
            "The line on standard error names it; `flomctl COMMAND --help` has the options.",
        ),
        Meaning(
            3,
            "There is a deadlock.",
            "`flomctl deadlocks` shows who waits for whom; `flomctl release` ends one of their locks.",
        ),
        Meaning(130, "SIGINT has ended it, as Ctrl-C does."),
    ),
    "flomctl fence": (
        _ours(
            _E.NO_TOKEN,
            "There is no fencing token that could be checked; the command was not run.",
            "Run it under `flom-run`, with a daemon that is not FLoM's, and a mode that excludes all others.",
        ),
        _ours(
            _E.FENCED,
            "A later holder has a higher token; the command was not run.",
            "The lock was lost. Begin the work anew, under a new lock.",
        ),
        _ours(_E.CANNOT_EXECUTE, "There is no command, or it cannot be executed.", "Check the name and `PATH`."),
        _ours(
            _E.ERROR,
            "The file with the highest token is broken, or cannot be read or written; the command was not run.",
            "The line on standard error names it. Remove it only when no earlier holder can be left.",
        ),
    ),
    "flomctl hold": (
        _ours(_E.OK, "The lock is held; its handle was printed."),
        _ours(
            _E.DEADLOCK,
            "To wait would be to wait for ever.",
            "The line on standard error names who waits for whom. Take the locks in the same order everywhere.",
        ),
        _ours(
            _E.CANNOT_WAIT,
            "The resource does not exist, a configuration file says that it is not to be created, and `--wait 0` that "
            "it is not waited for.",
            "Have a command create it, or leave out `--wait 0`.",
        ),
        _ours(
            _E.BUSY,
            "The resource is locked, with `--wait 0`, or the time of `--wait` is up.",
            "`flomctl status` shows who holds it. Try again later, or wait longer.",
        ),
    ),
    "flomctl renew": (_HOLD_IS_OVER,),
    "flomctl release": (
        _HOLD_IS_OVER._replace(
            remedy="It needs no release; what it was to protect may have been locked by another one before."
        ),
    ),
    "flomctl value": (
        _ours(
            _E.ERROR,
            "With `--set`: it runs under no `flom-run` that was asked for a value, the text is too long, or the lock "
            "is lost, or in a mode other than EX and PW.",
            "The line on standard error says which. Nothing was changed.",
        ),
    ),
    "flomctl convert": (
        _ours(_E.OK, "The lock is held in the new mode."),
        _ours(
            _E.DEADLOCK,
            "Another holder waits for this one, to convert its lock, too; the lock is held as it was.",
            "Release the lock, and take it anew in the mode that is wanted, or convert in one command only.",
        ),
        _ours(
            _E.BUSY,
            "Other holders are in the way, or the time to wait is up; the lock is held as it was.",
            "Wait longer, or go on as it is.",
        ),
        _ours(
            _E.ERROR,
            "It runs under no `flom-run`, the lock cannot be converted or is lost, or the daemon is FLoM's.",
            "The line on standard error says which.",
        ),
    ),
    "twistd flom": (
        Meaning(0, "The daemon has ended by an order, or after its lifespan."),
        Meaning(1, "It could not start, and a line on standard error says why.", "Read that line."),
        Meaning(130, "SIGINT has ended it, as a shell shows that."),
        Meaning(143, "SIGTERM has ended it, as a shell shows that."),
    ),
    "a shell": (
        Meaning(
            126,
            "The command was found, but cannot be executed.",
            "Check its permissions and the program that its first line names.",
        ),
        Meaning(127, "The command was not found.", "Check its name and `PATH`, which cron and systemd keep short."),
    ),
    "timeout": (
        Meaning(124, "The time was up, and the command was ended.", "Find out why it takes so long, or give it more."),
        Meaning(125, "`timeout` itself has failed.", "Read the line on standard error."),
    ),
    "ssh": (Meaning(255, "There is no connection, or it has ended; or the command has exited with 255."),),
}
"""
By program: what it may exit with by itself. C{flom-run}, C{flom} and C{flomctl fence} end as their commands do where
these have run, as does a shell, which shows death by signal N as 128 + N.
"""

LOG_IDS: Final = {
    "FLM000I": "The daemon listens on a UNIX socket.",
    "FLM001I": "The daemon listens on TCP.",
    "FLM002I": "The daemon has joined its group.",
    "FLM003N": "The daemon is ready.",
    "FLM004N": "The daemon ends in good order.",
    "FLM005I": "A client asks which daemon there is in the group.",
    "FLM006W": "A client speaks another level of the protocol; its version may be too old or too new.",
    "FLM007N": "An order ends the daemon at once.",
    "FLM008N": "An order ends the daemon as soon as no client needs it.",
    "FLM009W": "A client has tried to unlock what it does not hold.",
    "FLM010W": "A client has no certificate.",
    "FLM011I": "Who has issued the certificate of a client.",
    "FLM012I": "Whose certificate a client has.",
    "FLM013E": "The unique id that a client sends is not the common name of its certificate.",
    "FLM014I": "The unique id that a client sends is the common name of its certificate.",
    "FLM015I": "The first message of a client.",
    "FLM016I": "The first answer to a client.",
    "FLM017E": "A certificate is not accepted.",
    "FLM018E": "A private key cannot be used.",
    "FLM019E": "The daemon cannot listen at an address.",
    "FLM020N": "The daemon has not closed the connection within a second after `-x` or `-X`.",
    "FLM021E": "The file system view cannot be shown.",
    "FLM022I": "The file system view is mounted.",
    "FLM023I": "The file system view is unmounted.",
    "FLM024W": "The file system view cannot be unmounted.",
    "FLM025E": "The file system view has ended by an error.",
}
"""The ids of lines in the log of a daemon, ours or FLoM's; the last letter is the priority (info, notice, ...)."""
