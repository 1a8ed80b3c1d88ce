"""Reading the key of a group: whose file it is, who may read it, and how long it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flom.core.group.key import GroupKey
from flom.errors import ConfigError
from flom.net.group_key import MAX_SECRET, read_key, read_secret

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_bytes(SECRET + b"\n")
    file.chmod(0o600)
    return file


def test_a_key_is_what_the_file_has_without_the_last_line_feed(file: Path) -> None:
    key = read_key(str(file), is_required=True)
    assert key == GroupKey(SECRET, lambda: "")
    assert key.is_required
    assert key.new_nonce() != key.new_nonce()
    assert len(key.new_nonce()) == 32


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o620])
def test_a_key_that_others_may_read_or_change_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ConfigError, match=rf"^group-key: '{file}' cannot be used: others .*\(mode {mode:03o}\)"):
        read_key(str(file))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a file of another user")
def test_a_key_of_another_user_is_refused(file: Path) -> None:
    file.chmod(0o640)
    assert read_key(str(file))  # root's may be for a group
    os.chown(file, 12345, 0)
    with pytest.raises(ConfigError, match="it belongs to uid 12345"):
        read_key(str(file))


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * (MAX_SECRET + 1)])
def test_a_key_that_is_too_short_or_too_long_is_refused(file: Path, secret: bytes) -> None:
    file.write_bytes(secret)
    with pytest.raises(ConfigError, match=rf"its {len(secret)} bytes are not 16 to 4096"):
        read_key(str(file))


def test_a_key_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="o such file"):
        read_key(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="it is no file"):
        read_key(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="it is no file"):
        read_key(str(tmp_path / "pipe"))


def test_other_secrets_are_read_likewise(file: Path) -> None:
    assert read_secret("quorum-password-file", str(file)) == SECRET
    file.write_bytes(b"\n")
    with pytest.raises(ConfigError, match=r"^quorum-password-file: .* its 0 bytes are not 1 to 4096"):
        read_secret("quorum-password-file", str(file))
