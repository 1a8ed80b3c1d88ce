"""The tree of files, without a file system."""

from __future__ import annotations

import pytest

from flom.core.modes import LockMode
from flom.status.json import from_json
from flom.vfs.tree import LONG_NAMES, Directory, File, Tree
from tests.fakes.status import make_status


def entries(tree: Tree, path: str) -> list[str]:
    node = tree.find(path)
    assert isinstance(node, Directory)
    return list(node.entries)


def content(tree: Tree, path: str) -> bytes:
    node = tree.find(path)
    assert isinstance(node, File)
    return node.content


def test_every_mode_has_a_long_name() -> None:
    assert list(LONG_NAMES) == [mode.name for mode in LockMode]


def test_a_holder_and_a_waiter_are_shown() -> None:
    tree = Tree(make_status("R1", "R1"))
    assert entries(tree, "/") == ["status", "status.json"]
    [resource] = entries(tree, "/status/lockers")
    path = f"/status/lockers/{resource}"
    assert entries(tree, path) == ["resource_name", "resource_type", "holders", "waitings"]
    [holder] = entries(tree, f"{path}/holders")
    [waiter] = entries(tree, f"{path}/waitings")
    assert content(tree, f"{path}/holders/{holder}/lock_mode") == b"Exclusive"
    assert content(tree, f"{path}/waitings/{waiter}/peer_name") == b"this process\n"


def test_a_name_that_is_no_utf_8_is_shown_as_its_bytes() -> None:
    tree = Tree(make_status("/a\udcff"))
    [resource] = entries(tree, "/status/lockers")
    assert content(tree, f"/status/lockers/{resource}/resource_name") == b"/a\xff\n"


def test_status_json_is_the_status() -> None:
    [resource] = from_json(content(Tree(make_status("R1")), "/status.json")).resources
    assert resource.name == "R1"


@pytest.mark.parametrize(("path", "why"), [("/nothing", "No such file"), ("/status.json/x", "Not a directory")])
def test_other_paths_are_errors(path: str, why: str) -> None:
    with pytest.raises(OSError, match=why):
        Tree(make_status()).find(path)
