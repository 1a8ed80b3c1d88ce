"""What C{flomctl doctor} prints: one finding a check."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Verdict(Enum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(NamedTuple):
    """The result of one check."""

    verdict: Verdict
    check: str
    detail: str
