"""The source distribution is the checkout, and the wheel has the same bytes whenever it is built."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.installation import CHECKOUT, Built, build

FOLDERS: Final = (".ci", "docs", "findings", "flom", "tests", "twisted")


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as wheel:
        [name] = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(wheel.read(name))


def list_checkout() -> set[str]:
    """Return the names of all files that git has, or would take; outside a checkout, of all but what Python makes."""
    ask = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(ask, cwd=CHECKOUT, capture_output=True, check=False)
    if listed.returncode == 0:
        names = set(listed.stdout.decode().split("\0")) - {""}
    else:
        paths = [path for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*")]
        names = {str(path.relative_to(CHECKOUT)) for path in paths if not path.match("__pycache__/*")}
    return {name for name in names if (CHECKOUT / name).is_file() and not name.endswith("dropin.cache")}


def test_the_sdist_has_all_files_of_the_checkout(built: Built) -> None:
    """So it can be tested, and the documentation built from it."""
    with tarfile.open(built.sdist) as sdist:
        packed = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert list_checkout() - packed == set()
    assert packed > {"Makefile", "CHANGELOG.md", ".ci/run", "docs/index.md", "tests/conftest.py", "findings/README.md"}


def test_the_wheel_is_the_same_when_it_is_built_again(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as sdist:
        sdist.extractall(tmp_path)
    [source] = tmp_path.iterdir()
    build(source, tmp_path / "again", "--wheel")
    assert (tmp_path / "again" / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def test_the_wheel_has_what_stands_in_share(built: Built) -> None:
    """As data of the package, and where man and the shells look for it."""
    share = CHECKOUT / "flom" / "share"
    with zipfile.ZipFile(built.wheel) as wheel:
        names = wheel.namelist()
    for path in share.rglob("*"):
        if path.is_file():
            assert str(path.relative_to(CHECKOUT)) in names
    installed = [name.partition(".data/data/share/")[2] for name in names]
    for section in "man1/flom-run.1", "man1/flom.1", "man1/flomctl.1", "man5/flom.conf.5", "man8/twistd-flom.8":
        assert f"man/{section}" in installed
    assert "doc/flom/systemd/flom.service" in installed


def test_an_index_is_told_what_it_is(metadata: Message) -> None:
    assert (metadata["Name"], metadata["License-Expression"]) == ("txflom", "MIT")
    assert str(metadata.get_payload()).startswith("# txflom")  # the README
    pythons = [text.rpartition(" ")[2] for text in metadata.get_all("Classifier", []) if "Python :: 3." in text]
    assert pythons == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert metadata["Requires-Python"] == ">=3.10"


def test_a_plain_install_brings_twisted_alone(metadata: Message) -> None:
    needed = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    own = {"typing_extensions", "zope.interface"}  # which Twisted needs too
    assert {text.partition(">")[0] for text in needed} == {"Twisted"} | own
    extras = set(metadata.get_all("Provides-Extra", []))
    assert {"tls", "ctl", "web", "vfs", "etcd", "all"} <= extras
