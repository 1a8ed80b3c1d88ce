"""What the tests of the web site share."""

from __future__ import annotations

import pytest

from tests.fakes.web import Web


@pytest.fixture
def web() -> Web:
    return Web()
