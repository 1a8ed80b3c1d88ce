"""Which descriptors are for the command; tests/run/test_runner_descriptors.py looks at what a command really gets."""

from __future__ import annotations

import os

from flom.job.descriptors import inherited_descriptors


def test_what_outlives_an_exec_is_for_the_command() -> None:
    inheritable, own = os.pipe()
    os.set_inheritable(inheritable, True)
    try:
        found = inherited_descriptors()
    finally:
        os.close(inheritable)
        os.close(own)
    assert inheritable in found
    assert own not in found
    assert not {0, 1, 2} & set(found)
