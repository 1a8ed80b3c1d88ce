"""Listed constants are what the standard library's would be, and FLoM's numbers have their texts."""

from __future__ import annotations

import enum
import pickle

import pytest

from flom.codes import ExitStatus, Outcome, ReturnCode
from flom.core.modes import LockMode
from flom.core.protocol.messages import Role


@pytest.mark.parametrize("listing", [Outcome, ExitStatus, ReturnCode, LockMode, Role], ids=lambda each: each.__name__)
def test_a_listing_behaves_as_an_enumeration(listing: type[enum.Enum]) -> None:
    constants = list(listing)
    values = {constant.name: constant.value for constant in constants}
    real = enum.Enum("Real", values, type=type(constants[0].value))  # type: ignore[misc]
    assert [(each.name, each.value) for each in constants] == [(each.name, each.value) for each in real]
    for constant in constants:
        assert listing(constant.value) is listing[constant.name] is getattr(listing, constant.name) is constant
        assert constant == constant.value
        assert hash(constant) == hash(constant.value)
        assert f"{constant}" == str(constant.value)
        assert repr(constant) == repr(real[constant.name]).replace("Real", listing.__name__)
        assert pickle.loads(pickle.dumps(constant)) is constant


@pytest.mark.parametrize("value", [3, None, "BUSY", [], -15])
def test_a_value_that_is_not_listed_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="is not a valid Outcome"):
        Outcome(value)  # type: ignore[call-overload]


def test_a_return_code_has_its_text() -> None:
    assert ReturnCode.OK.text == "OK: no error"
    assert next(code for code in ReturnCode if code == -14).text == "ERROR: invalid name for a resource"
