"""
Becomes a command, for what C{reactor.spawnProcess} cannot do: C{become.py PIPE SIGNALS DIRECTORY COMMAND [ARG...]}.

Twisted sets every ignored signal back to its default, which would take from C{nohup} what it is for; from another
directory it starts programs by a fork that says on stderr alone why there is no such program; and without that, it
looks for programs in our PATH even if they get another one.
"""

from __future__ import annotations

import errno
import os
import signal
import sys


def main() -> None:
    """
    Replace this process by COMMAND; if that is not possible, write the reason to PIPE, and exit with 97.

    PIPE is the number of a descriptor, which COMMAND does not get: if it is closed without data, COMMAND runs.
    SIGNALS are the numbers, separated by commas, of those that COMMAND is to ignore; it may be empty, and so may
    DIRECTORY, where COMMAND is to run.
    """
    from flom.job.environment import inherited_environment
    from flom.job.words import as_script
    from flom.text import reason

    _, pipe, numbers, directory, *command = sys.argv
    os.set_inheritable(int(pipe), False)
    for python_ignores in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(python_ignores, signal.SIG_DFL)
    for number in filter(None, numbers.split(",")):
        signal.signal(int(number), signal.SIG_IGN)
    environment = inherited_environment()
    try:
        if directory:
            os.chdir(directory)
        try:
            os.execvpe(command[0], command, environment)
        except OSError as e:
            if e.errno != errno.ENOEXEC:
                raise
            os.execve("/bin/sh", as_script(command), environment)
    except OSError as e:
        where = f"{directory}: " if e.filename == directory else ""
        os.write(int(pipe), os.fsencode(where + reason(e)))
        sys.exit(97)


if __name__ == "__main__":
    # under -I -S, without what programs are installed with, which the command does not need to start
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
    main()
