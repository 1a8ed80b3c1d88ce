"""What a Deferred has fired with."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def now(deferred: Deferred[T]) -> T:
    """Return the result that C{deferred} has."""
    results: list[T] = []
    deferred.addCallback(results.append)
    assert results, "nothing yet, or an error"
    return results[0]


def error(deferred: Deferred[Any]) -> BaseException:
    """Return the error that C{deferred} has."""
    errors: list[BaseException | None] = []

    def take(failure: Failure) -> None:
        errors.append(failure.value)

    deferred.addErrback(take)
    assert errors[0] is not None
    return errors[0]
