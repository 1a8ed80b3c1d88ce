"""C{flomctl check}: whether what histories tell can have been (docs/reference/history.md)."""

from __future__ import annotations

import math

from flom.core.history.lines import BadLine, History
from flom.core.history.verdict import judge
from flom.ctl.output import BAD_USAGE, FAILED, print_error, print_warning
from flom.errors import ConfigError
from flom.status.wording import spell_moment
from flom.text import one_line, reason, truncate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

    from flom.core.history.holding import Holding, Violation

_SECOND: Final = 1_000_000_000  # nanoseconds
_MOST_BAD: Final = 20  # lines that are named, of each run


def check(arguments: Namespace) -> int:
    """Print what histories violate, and return the status to exit with."""
    history = History()
    problems: list[str] = []
    for path in arguments.history:
        _read(path, history, problems)
    holdings = history.holdings()
    problems += history.problems
    for problem in problems[:_MOST_BAD]:
        print_error(truncate(problem))
    if len(problems) > _MOST_BAD:
        print_error(f"and {len(problems) - _MOST_BAD} more lines that are none")
    skew = round(arguments.skew * _SECOND)
    unsure = _find_set_clocks(history, skew)
    if arguments.assume_ended:
        holdings = [each.replace(has_begun=each.has_begun and each.end < math.inf) for each in holdings]
    found = judge(holdings, skew, undecided=history.undecided(), unsure=unsure)
    for violation in found:
        print(one_line(_describe(violation)))
    resources = len({holding.name for holding in holdings})
    unended = f", {history.without_end} of them without an end" if history.without_end else ""
    print(
        f"{history.lines} lines, {len(holdings)} grants of {resources} resources{unended}: "
        f"{len(found) or 'no'} violation{'s' if len(found) != 1 else ''}"
    )
    if found:
        return FAILED
    if not holdings and not problems:
        print_error("nothing was granted: there is nothing to check")
    return 0 if holdings and not problems else BAD_USAGE


def _read(path: str, history: History, problems: list[str]) -> None:
    """Read the lines of one file; what are none go to C{problems}."""
    try:
        with open(0 if path == "-" else path, errors="surrogateescape", closefd=path != "-") as file:
            for number, line in enumerate(file, 1):
                try:
                    if line.strip():
                        history.add(line, f"{path}:{number}")
                except BadLine as e:
                    problems.append(str(e))
    except (OSError, ValueError) as e:
        raise ConfigError(f"{path}: {reason(e)}") from None


def _find_set_clocks(history: History, skew: int) -> list[str]:
    """Return the clocks beside which the wall clock was set, and say so, if times of several hosts are compared."""
    clocks = history.clocks()
    if len(clocks) == 1:
        return []
    unsure = [clock for clock in clocks if clock.step > skew]
    for clock in unsure:
        print_warning(
            f"the wall clock of {clock.host or 'a host'} was set by {clock.step / _SECOND:.3f} s meanwhile: its "
            "commands are not compared with those of other hosts"
        )
    return [clock.id for clock in unsure]


def _describe(violation: Violation) -> str:
    others = " and ".join(_spell(other) for other in violation.beside)
    beside = f", beside {others}" if others else ""
    return f"{violation.holding.name}: {violation.why}: {_spell(violation.holding)}{beside}"


def _spell(holding: Holding) -> str:
    """Return who C{holding} was of, and when."""
    begin, end = holding.wall[:2]
    until = f"to {_spell_time(end)}" if end < math.inf else "without an end"
    host = f" on {holding.host}" if holding.host else ""
    token = f", token {holding.token}" if holding.token else ""
    when = f"{_spell_time(begin)} {until}" if holding.has_begun else f"granted {_spell_time(begin)}"
    command = holding.command or "a command"
    return f"{command} (pid {holding.who}{host}, {when}{token}, {holding.place})"


def _spell_time(wall: float) -> str:
    try:
        return f"{spell_moment(wall // _SECOND)}.{int(wall % _SECOND) // 1000:06d}"
    except (ValueError, OverflowError, OSError):  # no year that the system knows
        return f"{wall / _SECOND:.6f} s"
