"""
Everything that can be set: defaults, configuration files and options become one frozen L{Config}
(docs/compatibility.md, "Options", "Configuration files").

L{flom.config.settings} is the list, L{flom.config.parsers} reads the texts, L{flom.config.files} lets later sources
override earlier ones, setting by setting.
"""

from flom.config.files import load, load_file, merge, override
from flom.config.parsers import SIGNAL_NAMES
from flom.config.settings import DAEMON, RUNNER, SETTINGS, Config, Setting, default_socket

__all__ = [
    "DAEMON",
    "RUNNER",
    "SETTINGS",
    "SIGNAL_NAMES",
    "Config",
    "Setting",
    "default_socket",
    "load",
    "load_file",
    "merge",
    "override",
]
