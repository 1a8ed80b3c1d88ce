"""Where files are that belong to addresses which are no files."""

from __future__ import annotations

import os

from flom.net.holding import PLACE, abstract_file, prefix, tcp_file


def test_they_name_the_network_namespace_and_the_address() -> None:
    assert tcp_file("127.0.0.1", 28015) == f"{PLACE}/{prefix()}127.0.0.1-28015"
    assert abstract_file("\0flom-user/7") == f"{PLACE}/{prefix()}@flom-user.7"
    assert prefix() == prefix()


def test_the_place_is_the_same_for_all_programs_of_the_host() -> None:
    assert os.path.isdir(PLACE)
