"""
Fuzz for as long as wanted: C{make fuzz SECONDS=600}.

atheris tries inputs in a process of its own (guided.py); meanwhile a real daemon stands a crowd (live.py). Ends with 1
if anything is wrong; the input is saved in C{build/fuzz} then, and its name is printed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom
from time import monotonic
from typing import Final

from tests.tools.fuzz.corpus import plant
from tests.tools.fuzz.live import LiveRun

DIRECTORY: Final = Path("build", "fuzz")
"""Where failing inputs are saved, and the inputs that have reached new lines, to begin with next time."""

LOAD: Final = 5.0
"""Seconds that a crowd stays; then all clients finish."""

LOADS: Final = 5
"""After so many crowds, the daemon is killed under one."""

MAX_INPUT: Final = 4096


def main() -> int:
    """Return the status to exit with."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fuzz", description="Fuzz for as long as wanted.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**31), help="of all choices")
    arguments = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}, {arguments.seconds:g} s", flush=True)
    guided = start_guided(arguments.seconds, arguments.seed)
    is_well = stand_crowds(arguments.seconds, arguments.seed)
    if guided is not None:
        is_well = report_guided(guided) and is_well
    print("all is well" if is_well else "something is wrong, see above")
    return 0 if is_well else 1


def start_guided(seconds: float, seed: int) -> subprocess.Popen[str] | None:
    """Start atheris, if it is there."""
    if find_spec("atheris") is None:
        print("guided: no atheris for this Python; skipped")
        return None
    corpus = DIRECTORY / "corpus"
    if not corpus.exists():
        plant(corpus)
    options = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed % 2**31 or 1}", f"-max_len={MAX_INPUT}"]
    options += [f"-artifact_prefix={DIRECTORY}/", "-timeout=60", "-print_final_stats=1"]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tools.fuzz.guided", *options, str(corpus)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def report_guided(guided: subprocess.Popen[str]) -> bool:
    """Wait for atheris and tell what it did; tell whether it found nothing."""
    output, _ = guided.communicate()
    if guided.returncode != 0:
        print("guided: FAILED\n" + "\n".join(output.splitlines()[-60:]))
        saved = re.findall(r"Test unit written to (\S+)", output)
        print(f"guided: the input is in {saved[0]}" if saved else "guided: no input was saved")
        return False
    inputs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", output)
    reached = re.findall(r"cov: (\d+)", output)
    print(
        f"guided: {inputs[-1] if inputs else '?'} inputs, {reached[-1] if reached else '?'} places reached, none fails"
    )
    return True


def stand_crowds(seconds: float, seed: int) -> bool:
    """Expose a daemon to crowd after crowd; return whether it stood them."""
    end = monotonic() + seconds
    with tempfile.TemporaryDirectory() as directory, LiveRun(Path(directory), seed) as live:
        try:
            while (left := end - monotonic()) > 0 or len(live.samples) < 2:
                if len(live.samples) == LOADS and left > 0:
                    live.outlive(min(LOAD, max(left / 2, 1.0)))
                else:
                    live.load(min(LOAD, max(left, 1.0)))
            live.finish()
        except Exception as e:  # whatever it is, what led to it is to be saved
            saved = DIRECTORY / f"live-{seed}.txt"
            saved.write_text("\n".join([f"seed {seed}: {e!r}", *live.history, *live.daemon.last]) + "\n")
            print(f"live: FAILED, {e!r}\nlive: the last {len(live.history)} deeds are in {saved}")
            return False
        did = ", ".join(f"{times} {what}" for what, times in sorted(live.did.items()))
        print(f"live: {live.grants} checked grants, {live.daemon.lines} lines of log; {did}")
        print(f"live: memory after each crowd, in KiB: {shorten(live.samples)}")
    return True


def shorten(samples: list[int]) -> str:
    """Write some of the samples, from the first to the last."""
    step = max(1, len(samples) // 10)
    return " ".join(str(sample) for sample in [*samples[:-1:step], samples[-1]])


if __name__ == "__main__":
    sys.exit(main())
