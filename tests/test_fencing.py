"""A fence lets no token pass that is lower than one before, whatever crashes and whoever comes at the same time."""

from __future__ import annotations

import os
import random
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from flom.core.tokens import MAX_TOKEN
from flom.fencing import BrokenFence, Fence, FencingError, InvalidToken, StaleToken


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "store.fence"


@pytest.fixture
def fence(tmp_path: Path) -> Fence:
    return Fence(tmp_path / "store")


def test_the_highest_token_is_kept_beside_the_file(fence: Fence, kept: Path) -> None:
    for token in (5, 5, "7", MAX_TOKEN):
        fence.check(token)
        assert kept.read_text() == f"{token}\n"
    assert os.listdir(kept.parent) == [kept.name]


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_a_path_without_a_name_has_no_fence(path: str) -> None:
    with pytest.raises(BrokenFence, match="has no name"):
        Fence(path)


def test_a_slash_at_the_end_makes_no_other_fence(tmp_path: Path, kept: Path) -> None:
    Fence(f"{tmp_path}/store/").check(5)
    assert kept.read_text() == "5\n"


def test_a_lower_one_is_refused(fence: Fence, kept: Path) -> None:
    fence.check(9)
    with pytest.raises(StaleToken, match=r"store\.fence: token 8 is lower than 9: ") as refused:
        fence.check(8)
    assert (refused.value.token, refused.value.highest) == (8, 9)
    assert kept.read_text() == "9\n"


def test_tokens_are_compared_as_numbers(fence: Fence) -> None:
    fence.check("99")
    fence.check("100")
    with pytest.raises(StaleToken):
        fence.check("99")


@pytest.mark.parametrize("token", [0, -1, 2**63, "", "x", "1.0", "-1", " 7", "7\n", "٣", "9" * 5000, None, 1.0, True])
def test_what_is_no_token_changes_nothing(fence: Fence, kept: Path, token: int | str | None) -> None:
    with pytest.raises(InvalidToken, match="no fencing token") as refused:
        fence.check(token)
    assert len(str(refused.value)) < 250
    assert isinstance(refused.value, ValueError)
    assert not kept.exists()


@pytest.mark.parametrize("text", ["", "x\n", "7\n8\n", "-7\n", "7" * 200])
def test_a_broken_file_lets_nothing_pass(fence: Fence, kept: Path, text: str) -> None:
    kept.write_text(text)
    with pytest.raises(BrokenFence, match=r"store\.fence: .*no fencing token"):
        fence.check(9)
    assert kept.read_text() == text


def test_nor_does_what_is_no_file(fence: Fence, kept: Path) -> None:
    kept.symlink_to(kept.parent / "elsewhere")
    with pytest.raises(BrokenFence, match="too many levels of symbolic links"):
        fence.check(9)
    kept.unlink()
    os.mkfifo(kept)
    with pytest.raises(BrokenFence, match="it is no file"):
        fence.check(9)


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenFence, match=r"nowhere/store\.fence: no such file or directory"):
        Fence(tmp_path / "nowhere" / "store").check(9)


def test_a_full_disk_lets_nothing_pass_and_leaves_what_was(
    fence: Fence, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence.check(5)

    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(BrokenFence, match="no space left on device"):
        fence.check(6)
    assert (kept.read_text(), os.listdir(kept.parent)) == ("5\n", [kept.name])


def test_mode_and_owner_stay(fence: Fence, kept: Path) -> None:
    fence.check(5)
    kept.chmod(0o660)
    if os.geteuid() == 0:
        os.chown(kept, 12345, 12345)
    before = kept.stat()
    fence.check(6)
    after = kept.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_of_many_at_once_none_passes_after_a_higher_one(fence: Fence, kept: Path) -> None:
    """Each notes what it finds when it has passed: never a lower one than its own."""
    tokens = list(range(1, 200))
    random.Random(7).shuffle(tokens)

    def check(token: int) -> bool:
        try:
            Fence(kept.parent / "store").check(token)
        except FencingError:
            return False
        assert int(kept.read_text()) >= token
        return True

    with ThreadPool(8) as pool:
        passed = pool.map(check, tokens)
    assert passed[tokens.index(199)]
    assert (kept.read_text(), os.listdir(kept.parent)) == ("199\n", [kept.name])
