"""How values are written for people: on one line, not too long, and in the system's words."""

from __future__ import annotations

from flom.errors import FlomError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_MAX_CUT: Final = 500  # characters: all of a message of FLoM's

_EXTRAS: Final = {  # of setup.cfg: by the name by which it is imported, each package, and the extra that installs it
    "OpenSSL": ("pyOpenSSL", "tls"),
    "cryptography": ("cryptography", "tls"),
    "greenlet": ("greenlet", "aio"),
    "mfusepy": ("mfusepy", "vfs"),
    "prometheus_client": ("prometheus_client", "web"),
    "rich": ("rich", "ctl"),
    "treq": ("treq", "etcd"),
}


def host_port(host: str, port: int) -> str:
    """Write an address as people do, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def one_line(text: str) -> str:
    """Write what does not print, such as a line feed in a value that C{text} quotes, as Python does."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def truncate(text: str) -> str:
    """Truncate text chosen by a peer to 500 characters, so that one client cannot flood the log."""
    return text if len(text) <= _MAX_CUT else f"{text[:_MAX_CUT]}..."


def reason(error: Exception) -> str:
    """Return the system's words for an L{OSError}, in lower case, or those of another error as they are."""
    is_of_the_system = isinstance(error, OSError) and not isinstance(error, FlomError)
    return (getattr(error, "strerror", None) or str(error)).lower() if is_of_the_system else str(error)


def likeness(option: str, known: Sequence[str]) -> str:
    """Return what ends a message about C{option}, which is none of C{known}; all of them have their dashes."""
    from difflib import get_close_matches  # seldom wanted

    close = [word for word in known if word.startswith(option)] or get_close_matches(option, known, n=1, cutoff=0.8)
    return f"did you mean {' or '.join(close[:2])}?" if close else "--help lists all options"


def missing_extra(error: ImportError) -> str:
    """Return, for a line that begins with what is not possible, which package is missing, and which extra has it."""
    name = (error.name or "").partition(".")[0]
    if name not in _EXTRAS:
        return f"cannot be used: {error}"
    package, extra = _EXTRAS[name]
    if not isinstance(error, ModuleNotFoundError):  # it is there, but old or broken
        return f"needs another {package} ({error}): pip install -U 'txflom[{extra}]'"
    return f"needs {package}: pip install 'txflom[{extra}]'"


def listed(words: Sequence[str]) -> str:
    """Return C{words}, one or more, as a list to read, such as C{a, b and c}."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def duration(seconds: float) -> str:
    """Return C{seconds} without rounding, in the largest whole unit: C{"0.3 s"}, C{"90 s"}, C{"10 min"}, C{"2 h"}."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f} {unit}"
    return f"{round(seconds, 3):.7g} s"
