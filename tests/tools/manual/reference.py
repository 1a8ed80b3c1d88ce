"""Parts of the reference that are no options: statuses, codes, variables and metrics."""

from __future__ import annotations

import re
from typing import Final

from flom.codes import ReturnCode
from flom.status.model import QuorumStatus
from flom.statuses import LOG_IDS, STATUSES
from tests.tools.manual.markdown import definition
from tests.tools.manual.tables import VARIABLES

_READERS: Final = {"command": "the command under the lock"}


def statuses_of(program: str) -> str:
    """Return the exit statuses of C{program}."""
    return "\n".join(
        definition(f"`{each.status}` {each.word}".rstrip(), f"{each.when} {each.remedy}".rstrip())
        for each in STATUSES[program]
    )


def return_codes() -> str:
    """Return FLoM's codes with their names and texts."""
    return "\n".join(definition(f"`{int(code)}` {code.name}", code.text) for code in ReturnCode)


def log_ids() -> str:
    """Return the ids of lines in the log of a daemon."""
    return "\n".join(definition(f"`{log_id}`", when) for log_id, when in LOG_IDS.items())


def environment_of(program: str) -> str:
    """Return the variables that C{program} reads."""
    return "\n".join(definition(_code(names), meaning) for names, readers, meaning in VARIABLES if program in readers)


def variables() -> str:
    """Return all variables, and which programs read them."""
    return "\n".join(
        definition(_code(names), f"{meaning} Read by {_and([_READERS.get(each, f'`{each}`') for each in readers])}.")
        for names, readers, meaning in VARIABLES
    )


def metrics() -> str:
    """Return the metrics of a daemon under a quorum, which has all of them, as Prometheus is told of them."""
    from tests.fakes.web import Web

    web = Web()
    web.counters.quorum = lambda: QuorumStatus("host", 0.0, 1, True, 1.0, (), {}, "")
    text = web.ask("/metrics").body.decode()
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
    entries = []
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        if name.endswith("_created"):
            continue
        labels = sorted(set(re.findall(rf'^{name}\w*{{(?!le=)(\w+)="', text, re.MULTILINE)))
        term = f"`{name}`" + "".join(f" by `{label}`" for label in labels)
        entries.append(definition(term, f"{helps[name]} ({kind})"))
    return "\n".join(entries)


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _and(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
