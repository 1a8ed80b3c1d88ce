"""What the tests of packages share: each is built once, and the wheel is installed once."""

from __future__ import annotations

import pytest

from tests.fakes.installation import CHECKOUT, Built, Installation, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """What C{python -m build} makes of the checkout."""
    directory = tmp_path_factory.mktemp("dist")
    build(CHECKOUT, directory)
    [sdist], [wheel] = directory.glob("*.tar.gz"), directory.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="session")
def installation(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel without extras, installed for the Python that runs the tests."""
    return Installation(tmp_path_factory.mktemp("installation"), built.wheel)
