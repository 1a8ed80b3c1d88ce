"""
Everything that can be set: defaults, configuration files and options become one frozen L{Config} (spec 1.2, 2).

L{flom.config.settings} is the list, L{flom.config.values} reads the texts, L{flom.config.sources} lets later sources
override earlier ones, setting by setting.
"""

from flom.config.settings import DAEMON, RUNNER, SETTINGS, Config, Setting, default_socket
from flom.config.sources import load, load_file, merge, override
from flom.config.values import SIGNAL_NAMES

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
