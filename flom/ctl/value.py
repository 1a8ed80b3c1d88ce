"""
C{flomctl value}: what is kept of resources beyond their holders (docs/howto/once-per-period.md), and how a command
under C{flom-run} sets it.
"""

from __future__ import annotations

from flom.client.blocking.status import open_status
from flom.codes import ExitStatus
from flom.core.requests import MAX_KEPT_TEXT, check_text
from flom.ctl.control import NoControl, ask, find_control
from flom.ctl.output import BAD_USAGE, FAILED, print_error, print_json, print_warning
from flom.ctl.place import config_of
from flom.ctl.rows import select
from flom.errors import InvalidRequest
from flom.status.json import value_as_dict
from flom.status.wording import spell_moment, spell_seconds
from flom.text import one_line, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from flom.status.model import DoneStatus, ValueStatus


def show_values(arguments: Namespace) -> int:
    """Print the value of each resource, and when its jobs were done, or set one; return the status to exit with."""
    if arguments.text is not None:
        return _set_value(arguments)
    with open_status(config_of(arguments), print_warning) as reader:
        status = select(reader.read(), arguments.glob)
    if status.values is None:
        print_error(f"the daemon is an older one (flom {status.daemon.version}), which keeps no values")
        return FAILED
    if arguments.json:
        print_json({"values": [*map(value_as_dict, status.values)]})
    elif status.values:
        print("\n".join(map(one_line, _lines(status.values, status.daemon.now))))
    elif arguments.glob is None:
        print("no values")
    else:
        print_error(f"nothing is kept of a resource that matches {arguments.glob!r}")
    return FAILED if arguments.glob is not None and not status.values else 0


def _set_value(arguments: Namespace) -> int:
    if arguments.glob is not None or arguments.json or arguments.given or arguments.config_file:
        print_error("--set is for the lock of the flom-run that this runs under: it goes without other words")
        return BAD_USAGE
    try:
        control = find_control()
        text = _first_line() if arguments.text == "-" else _checked(arguments.text)
        word, answer = ask(control, f"value {text}")
    except (NoControl, InvalidRequest) as e:
        print_error(str(e))
        return ExitStatus.ERROR
    if word == "set":
        return ExitStatus.OK
    print_error(answer)
    return ExitStatus.ERROR


def _first_line() -> str:
    """Return the first line of standard input, without its end; raise L{InvalidRequest} if it can be no value."""
    try:
        with open(0, "rb", closefd=False) as stdin:
            line = stdin.readline(MAX_KEPT_TEXT + 2)
    except OSError as e:
        raise InvalidRequest(f"--set -: standard input cannot be read: {reason(e)}") from None
    if not line:
        raise InvalidRequest("--set -: standard input has no line; --set '' removes the value")
    text = line.removesuffix(b"\n").decode("utf-8", "surrogateescape")
    if len(line) > MAX_KEPT_TEXT + 1:
        raise InvalidRequest(f"--set -: the line that begins with {text!r} has more than {MAX_KEPT_TEXT} bytes")
    return _checked(text)


def _checked(text: str) -> str:
    if "\n" in text:
        raise InvalidRequest(f"value {text!r} has more than one line")
    return check_text("value", text)


def _lines(values: tuple[ValueStatus, ...], now: float) -> list[str]:
    lines = []
    for value in values:
        lines.append(f"{value.name}  {value.value}" if value.value else value.name)
        lines += [f"  {_spell(done, now)}" for done in reversed(value.done)]
    return lines


def _spell(done: DoneStatus, now: float) -> str:
    """Return what there is to say of C{done}, C{now} being the moment of the status by the daemon's clock."""
    key = f"{done.key}: " if done.key else ""
    by = f", by {done.by}" if done.by else ""
    return f"{key}done {spell_seconds(done.seconds)} ago, at {spell_moment(now - done.seconds)}{by}"
