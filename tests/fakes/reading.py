"""Options and files as the program reads them, where there is nothing to warn of."""

from __future__ import annotations

from typing import Any

from flom.config import Config, merge, override
from flom.job.command_line import parse


def config_of(*words: str, **others: Any) -> Config:
    """Return the defaults as changed by C{others}, fields from elsewhere, and the options C{words}."""
    return override(Config(**others), parse(words).options, no_warning)


def config_of_flom(*words: str, **others: Any) -> Config:
    """Return what C{flom} makes of the same."""
    return override(Config(**others), parse(words, as_flom=True).options, no_warning, as_flom=True)


def config_in(text: str, path: str = "f", **others: Any) -> Config:
    """Return the defaults as changed by C{others}, fields from elsewhere, and a file with C{text}."""
    return merge(Config(**others), path, text, no_warning)


def no_warning(text: str) -> None:
    raise AssertionError(text)
