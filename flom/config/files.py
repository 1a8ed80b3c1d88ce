"""
Where settings come from: key files, the environment and options, each of which overrides what came before
(docs/compatibility.md, "Order of actions", "Configuration files").

A place of the daemon, a socket or an address or a group or both of these, is overridden as a whole.
"""

from __future__ import annotations

import os

from flom.codes import ReturnCode
from flom.config.parsers import Ignored, Unclear
from flom.config.settings import SETTINGS, Config, Setting, flock_hint
from flom.errors import ConfigError
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final, TextIO

    Warn = Callable[[str], None]  # called with a warning for the user

SYSTEM_FILE: Final = "/etc/flom.conf"  # it is read first; then ~/.flom; then the one that -c names


PLACE: Final = ("socket_name", "unicast_address", "multicast_address")
"""The settings that are together the place of the daemon."""

_VARIABLES: Final = {
    "FLOM_SOCKET": ("socket_name", ""),
    "FLOM_ADDRESS": ("unicast_address", "unicast_port"),
    "FLOM_GROUP": ("multicast_address", "multicast_port"),
}
"""Variables of the environment that say the place, and the settings of the host and of the port behind a colon."""

_WRITTEN: Final = ("daemon_trace_file", "command_trace_file", "mount_point")  # they name files to write


def load(
    config_file: str | None, environ: dict[str, str] | os._Environ[str], warn: Warn, as_flom: bool = False
) -> Config:
    """
    Read the configuration files and the environment.

    FLOM_CONFIG names the third file if C{config_file} does not, and L{_VARIABLES} are stronger than this one, but not
    than C{config_file}.

    The system's and the user's may be missing, or be no key files, which causes a warning here and none with FLoM
    (docs/compatibility.md, "Errors in files are passed over in silence"); C{config_file}, if given, may not.

    @param as_flom: whether the user's file may belong to another user, as with FLoM, and variables mean nothing; what
        in such a file names files to write is ignored, with a warning, because they would be written with our rights.
    @raise ConfigError: a file cannot be read, has a bad value or belongs to another user; the text names file, group
        and key.
    """
    config = Config()
    home = environ.get("HOME") or os.path.expanduser("~")
    for path in [SYSTEM_FILE] + ([] if home == "~" else [os.path.join(home, ".flom")]):  # there may be no home
        try:
            is_checked = path != SYSTEM_FILE and not as_flom
            if is_checked:
                _check_owner(path, path)  # before it is opened: it may be a pipe to which nothing is ever written
            with _open(path) as file:
                if is_checked:
                    _check_owner(path, file.fileno())
                stranger = None if path == SYSTEM_FILE else _stranger(path, file.fileno())
                config = merge(config, path, file.read(), warn, stranger, as_flom)
        except OSError:
            continue
        except ConfigError as e:
            if e.code is not ReturnCode.G_KEY_FILE_LOAD_FROM_FILE_ERROR:
                raise
            warn(f"{e}; going on without it")
    if not as_flom:
        if config_file is None and (named := environ.get("FLOM_CONFIG")):
            config = load_file(config, named, warn)
        config = _read_variables(config, environ)
    return config if config_file is None else load_file(config, config_file, warn)


def load_file(config: Config, path: str, warn: Warn) -> Config:
    """Override C{config} by the file C{path}; see L{load}."""
    try:
        with _open(path) as file:
            text = file.read()
    except (OSError, ValueError) as e:
        raise _cannot_load(path, reason(e)) from e
    return merge(config, path, text, warn)


def merge(config: Config, path: str, text: str, warn: Warn, owner: int | None = None, as_flom: bool = False) -> Config:
    """
    Override C{config} by the C{text} of a file, in which bytes that are not UTF-8 are surrogates; see L{load}.

    @param owner: the user whom the file belongs to, if it may not name files to write.
    @param as_flom: whether nothing is said of keys that are nearly one, as with FLoM.
    """
    from configparser import MissingSectionHeaderError, ParsingError, RawConfigParser  # seldom wanted

    parser = RawConfigParser(
        delimiters=("=",), comment_prefixes=("#",), strict=False, empty_lines_in_values=False, default_section=""
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case sensitive
    try:
        parser.read_string("\n".join(map(_tidy, text.split("\n"))), path)
    except ParsingError as e:
        number = e.lineno if isinstance(e, MissingSectionHeaderError) else e.errors[0][0]
        line = text.split("\n")[number - 1].strip()
        raise _cannot_load(path, f"line {number}, '{line}', is neither a group nor a key with a value in one") from e
    if not as_flom:
        for group in parser.sections():
            for key in parser[group]:
                if meant := _meant(group, key):
                    warn(f"{path}: [{group}] {key}: it is ignored; did you mean {meant}?")
    given: dict[str, Any] = {}
    for setting in SETTINGS:
        raw = parser.get(*setting.place, fallback=None)
        if raw is None:
            continue
        group, key = setting.place
        if owner is not None and setting.field in _WRITTEN:
            warn(f"{path}: [{group}] {key}: it is ignored, because the file belongs to uid {owner}")
            continue
        value: Any
        try:
            value = _value(setting, raw)
        except Ignored as e:
            warn(f"{path}: [{group}] {key}: {e}")
            value = e.rest
        except (OSError, ValueError, ConfigError) as e:
            shown = _unescape(raw)
            flom_why = f"[{group}] {key}={shown!r} is an invalid value"
            if isinstance(e, OSError):
                plain = f"{path}: [{group}] {key}: '{shown}' is an invalid value: {reason(e)}"
                flom_why = f"{path}: {flom_why}: {reason(e)}"
                raise _init_failed(plain, ReturnCode.REALPATH_ERROR, flom_why, []) from None
            # an error of an option's begins with its name
            why = str(e).partition(": ")[2] if isinstance(e, ConfigError) else f"'{shown}' is an invalid value"
            if isinstance(e, Unclear):
                why = f"{why}: {e}"
            plain = f"{path}: [{group}] {key}: {why}"
            flom_says = f"ERROR: invalid configuration found in file '{path}'"
            on_stdout = [flom_why, flom_says]
            raise _init_failed(plain, ReturnCode.INVALID_OPTION, f"{flom_says}: {flom_why}", on_stdout) from None
        if value is not None:
            given[setting.field] = value
    return forget_place(config, [field for field, value in given.items() if value]).replace(**given)


_KEYS: Final = {setting.place for setting in SETTINGS}


def _meant(group: str, key: str) -> str:
    """
    Return which setting was probably meant by a C{key} that is none, as C{[Group] Key}; the empty string if the key is
    one, or like none. A lock whose place is misspelled is another lock, and the user would not be told.
    """
    if (group, key) in _KEYS:
        return ""
    from difflib import get_close_matches  # seldom wanted

    if not get_close_matches(group.lower(), {place[0].lower() for place in _KEYS}, 1, 0.75):
        return ""
    close = get_close_matches(key.lower(), sorted({place[1].lower() for place in _KEYS}), 1, 0.75)
    places = sorted(place for place in _KEYS if [place[1].lower()] == close)
    return " or ".join(f"[{place[0]}] {place[1]}" for place in places)


def forget_place(config: Config, given: Iterable[str]) -> Config:
    """Return C{config} without its place if one of C{given}, fields that are to be replaced, says another one."""
    return config.replace(**dict.fromkeys(PLACE, "")) if not set(PLACE).isdisjoint(given) else config


def override(config: Config, options: Iterable[tuple[Setting, str]], warn: Warn, *, as_flom: bool = False) -> Config:
    """
    Override C{config} by C{options} in turn.

    @param as_flom: whether their texts are taken for what FLoM takes them.
    @raise ConfigError: a text is no value for its setting.
    """
    given = set()
    for setting, text in options:
        read = setting.from_flom if as_flom else setting.from_option
        try:
            value: Any = True if read is None else read(text)
        except Ignored as e:
            warn(str(e))
            value = e.rest
        except OSError as e:
            why = f"{setting.long}: '{text}' is not a valid value: {reason(e)}"
            raise ConfigError(why, ReturnCode.REALPATH_ERROR) from None
        except ValueError as e:
            why = f"{setting.long}: '{text}' is an invalid value"
            if isinstance(e, Unclear) and not as_flom:
                why = f"{why}: {e}{flock_hint(f'-{setting.short}')}"
            raise ConfigError(why) from None
        if value is None:
            continue
        if setting.accumulates and setting.field in given:
            value = getattr(config, setting.field) + value
        given.add(setting.field)
        config = config.replace(**{setting.field: value})
    return config


def _read_variables(config: Config, environ: dict[str, str] | os._Environ[str]) -> Config:
    """Override C{config} by the place that L{_VARIABLES} say; L{ConfigError} is raised if one is no place."""
    settings = {setting.field: setting for setting in SETTINGS}
    given: dict[str, Any] = {}
    for variable, (field, port_field) in _VARIABLES.items():
        text = environ.get(variable, "")
        if not text:
            continue
        host, port = _host_and_port(text) if port_field else (text, "")
        try:
            given[field] = settings[field].from_file(host)
            if port:
                given[port_field] = settings[port_field].from_file(port)
        except (ValueError, ConfigError):
            raise ConfigError(f"{variable}: '{text}' is an invalid value") from None
    return forget_place(config, given).replace(**given)


def _host_and_port(text: str) -> tuple[str, str]:
    """Split C{HOST:PORT}; a host that has colons stands in brackets there."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    return (text, "") if text.count(":") > 1 else (text.partition(":")[0], text.partition(":")[2])


def _open(path: str) -> TextIO:
    return open(path, encoding="utf-8", errors="surrogateescape")


def _stranger(path: str, file: str | int) -> int | None:
    """
    Return the user, neither root nor us, whom C{file} or a link at C{path} belongs to; C{None} if there is none.

    @param file: its path, or the descriptor if it is open.
    """
    owners = os.lstat(path).st_uid, os.stat(file).st_uid
    return next((uid for uid in owners if uid not in (0, os.geteuid())), None)


def _check_owner(path: str, file: str | int) -> None:
    """Raise L{ConfigError} if C{file} or a link at C{path} belongs to another user; see L{_stranger}."""
    stranger = _stranger(path, file)
    if stranger is not None:
        raise ConfigError(f"{path}: it belongs to uid {stranger}; give it to uid {os.geteuid()} or set HOME")


def _tidy(line: str) -> str:
    """
    Make C{line} one that configparser reads as GLib does.

    It must not be taken to continue the line before, and blanks at the end of a value belong to it
    (docs/compatibility.md, "Syntax of files").
    """
    line = line.strip("\r").lstrip()
    value = line.rstrip(" \t")
    if "=" not in value or value.endswith("=") or value.startswith("["):
        return line
    return value + line[len(value) :].replace(" ", r"\s").replace("\t", r"\t")


def _value(setting: Setting, raw: str) -> Any:
    if any("\udc80" <= character <= "\udcff" for character in raw):
        raise Ignored("a value that is not UTF-8 has no effect")  # docs/compatibility.md, "Groups and keys"
    if "\0" in raw:
        raise ValueError(raw)
    return setting.from_file(_unescape(raw))


def _unescape(text: str) -> str:
    """Undo the escapes of a key file; other pairs stay as they stand (docs/compatibility.md, "Syntax of files")."""
    import re  # seldom wanted

    escapes = {r"\s": " ", r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\"}
    return re.sub(r"\\.", lambda pair: escapes.get(pair[0], pair[0]), text)


def _cannot_load(path: str, why: str) -> ConfigError:
    flom_says = f"ERROR: error while loading file '{path}'"
    code = ReturnCode.G_KEY_FILE_LOAD_FROM_FILE_ERROR
    return _init_failed(f"{path or repr(path)}: cannot be loaded: {why}", code, f"{flom_says}: {why}", [flom_says])


def _init_failed(plain: str, code: ReturnCode, why: str, on_stdout: list[str]) -> ConfigError:
    return ConfigError(plain, code, flom_line=f"flom_config_init: ret_cod={code} ({why})", on_stdout=on_stdout)
