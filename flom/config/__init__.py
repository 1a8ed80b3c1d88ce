"""
Everything that can be set: defaults, configuration files and options become one frozen L{Config}
(docs/compatibility.md, "Options", "Configuration files").
"""

from flom.config.files import PLACE, forget_place, load, load_file, merge, override
from flom.config.parsers import SIGNAL_NAMES
from flom.config.settings import (
    DAEMON,
    RUNNER,
    SETTINGS,
    Config,
    Setting,
    default_socket,
    flock_hint,
    private_sockets,
    runtime_socket,
    state_directory,
)

__all__ = [
    "DAEMON",
    "PLACE",
    "RUNNER",
    "SETTINGS",
    "SIGNAL_NAMES",
    "Config",
    "Setting",
    "default_socket",
    "flock_hint",
    "forget_place",
    "load",
    "load_file",
    "merge",
    "override",
    "private_sockets",
    "runtime_socket",
    "state_directory",
]
