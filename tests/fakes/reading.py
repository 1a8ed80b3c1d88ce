"""Options and files as the program reads them, where there is nothing to warn of."""

from __future__ import annotations

from typing import Any

from flom.config import Config, merge, override
from flom.job.command_line import parse


def config_of(*words: str, **others: Any) -> Config:
    """Give what the options C{words} and C{others}, fields from elsewhere, make of the defaults."""
    return override(Config(**others), parse(words).options, no_warning)


def config_in(text: str, path: str = "f", **others: Any) -> Config:
    """Give what a file with C{text} and C{others}, fields from elsewhere, make of the defaults."""
    return merge(Config(**others), path, text, no_warning)


def no_warning(text: str) -> None:
    raise AssertionError(text)
