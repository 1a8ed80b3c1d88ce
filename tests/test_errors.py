"""The exceptions of this package."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from flom import errors
from flom.codes import Outcome, ReturnCode
from flom.errors import (
    CannotWait,
    ConfigError,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    InvalidName,
    LockBusy,
    LockContested,
    LockImpossible,
    LockRefused,
    LockTimeout,
    lock_refused,
    note_loss,
)
from flom.text import reason

CLASSES = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)]


@pytest.mark.parametrize("kind", CLASSES, ids=[each.__name__ for each in CLASSES])
def test_every_error_can_be_caught_as_one_of_this_package(kind: type[Exception]) -> None:
    assert issubclass(kind, FlomError)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.BUSY, LockBusy),
        (Outcome.CANNOT_WAIT, CannotWait),
        (Outcome.IMPOSSIBLE, LockImpossible),
        (Outcome.INVALID_NAME, LockRefused),
        (Outcome.INVALID_TIMESTAMP_FORMAT, LockRefused),
    ],
)
def test_a_refusal_is_an_error_that_names_resource_and_daemon(outcome: Outcome, kind: type[LockRefused]) -> None:
    error = lock_refused(outcome, "R1", "lockhost:28015")
    assert type(error) is kind
    assert (error.outcome, error.resource) == (outcome, "R1")
    assert str(error).startswith("R1 at lockhost:28015: ")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (LockTimeout("R1: late"), TimeoutError),
        (lock_refused(Outcome.BUSY, "R1", "lockhost"), BlockingIOError),
        (DaemonUnreachable(ReturnCode.CONNECT_ERROR, "R1: none"), ConnectionError),
        (LockContested("R1: contested"), ConnectionError),
    ],
    ids=str,
)
def test_an_error_is_one_of_the_standard_library_too(error: FlomError, kind: type[OSError]) -> None:
    """It has no number, so that what asks for one takes it for no error of the system."""
    assert isinstance(error, kind)
    assert isinstance(error, OSError)
    assert (error.errno, error.strerror, error.filename) == (None, None, None)
    text = str(error)
    assert repr(error) == f"{type(error).__name__}({text!r})"
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(copied), str(copied), vars(copied)) == (type(error), text, vars(error))
    assert reason(error) == text


def test_a_text_begins_with_the_resource_once() -> None:
    error = DaemonLost("it closed the connection")
    error.concern("R1")
    error.concern("R2")
    assert str(error) == "R1: it closed the connection"


@pytest.mark.parametrize(
    "error",
    [
        InvalidName("a b"),
        lock_refused(Outcome.BUSY, "R1", "lockhost:28015"),
        ConfigError("no", ReturnCode.REALPATH_ERROR, on_stdout=["no"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_can_cross_to_another_process(error: FlomError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)


def test_where_there_are_no_notes_the_loss_is_the_first_context() -> None:
    class Old(BaseException):
        add_note = property()  # which hasattr does not see

    error, before, loss = Old(), ZeroDivisionError(), DaemonLost("R: the daemon closed the connection")
    error.__context__ = before
    loss.__context__ = error
    note_loss(error, loss)
    assert error.__context__ is before
    assert before.__context__ is loss
    assert loss.__context__ is None


def test_a_bad_name_is_told_which_ones_there_are() -> None:
    assert str(InvalidName("my_lock")).startswith("'my_lock' is not a valid name for a resource: letters and digits,")
