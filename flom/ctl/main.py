"""
The entry point of C{flomctl}.

What a command does not need is not imported, because its user waits for every import.
"""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper

from flom.ctl.output import BAD_USAGE, FAILED, print_error, report
from flom.errors import ConfigError
from flom.job.descriptors import open_standard_streams
from flom.text import missing_extra, one_line


def main() -> None:
    """Run the program of this process's command line, and exit."""
    gc.disable()  # what is imported is there to stay, and most commands end before there is anything to collect
    open_standard_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name need not be text, nor the terminal take all of it
    status = run(sys.argv[1:])
    try:
        if sys.stdout is not None:
            sys.stdout.flush()  # what was said before an error
    except OSError:
        pass  # that was the error
    os._exit(status)  # Python's own end takes milliseconds


def run(words: list[str]) -> int:
    """Run the program of the command line C{words}, and return the status to exit with."""
    try:
        status = _run_command(words)
        sys.stdout.flush()
    except ConfigError as e:
        print_error(str(e))
        return BAD_USAGE
    except ImportError as e:
        print(one_line(f"flomctl {missing_extra(e)}"), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        from signal import SIGINT

        return 128 + SIGINT
    except Exception as e:
        return report(e)
    return status


def _run_command(words: list[str]) -> int:
    from flom.ctl.command_line import find_command, parse

    try:
        arguments = parse(words)
    except SystemExit as e:  # the help was shown, or why the words make no sense
        return int(e.code or 0)
    return find_command(arguments)(arguments)
