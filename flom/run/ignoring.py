"""
Becomes a command that ignores some signals: C{ignoring.py NUMBERS COMMAND [ARG...]}.

C{reactor.spawnProcess} sets every ignored signal back to its default, which would take from C{nohup flom-run} what
nohup is for. It starts this program instead, which needs nothing but the standard library.
"""

import errno
import os
import signal
import sys
from collections.abc import Sequence


def inherited_environment() -> dict[bytes, bytes]:
    """Give the environment as this process got it; in the C locale, Python adds a variable to C{os.environ}."""
    with open("/proc/self/environ", "rb") as environment:
        variables = environment.read().split(b"\0")
    return dict(variable.split(b"=", 1) for variable in variables if variable.find(b"=") > 0)


def as_script(command: Sequence[str]) -> list[str]:
    """Give the words that run C{command}, whose header the kernel does not know, by the shell, as execvp(3) has it."""
    import shutil  # hardly any command needs it

    return ["/bin/sh", shutil.which(command[0]) or command[0], *command[1:]]


def main() -> None:
    """Replace this process by the command; exit with 97 if that is not possible."""
    _, numbers, *command = sys.argv
    for python_ignores in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(python_ignores, signal.SIG_DFL)
    for number in numbers.split(","):
        signal.signal(int(number), signal.SIG_IGN)
    environment = inherited_environment()
    try:
        try:
            os.execvpe(command[0], command, environment)
        except OSError as e:
            if e.errno != errno.ENOEXEC:
                raise
            os.execve("/bin/sh", as_script(command), environment)
    except OSError as e:
        print(f"Unable to execute command '{command[0]}': {os.strerror(e.errno or 0).lower()}", file=sys.stderr)
        sys.exit(97)


if __name__ == "__main__":
    main()
