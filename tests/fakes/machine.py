"""A machine that is managed by systemd: the first process of namespaces of its own, on the files of this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import TracebackType
from typing import Final

import flom
from tests.fakes.daemon import BIN
from tests.fakes.pipes import PATIENCE

SYSTEMD: Final = Path("/lib/systemd/systemd")
ROOT: Final = Path(flom.__file__).parent.parent
OPT: Final = "/opt/flom"
"""Where flom is installed there, without its units: its users need not be able to read where it is here."""

_LIBRARIES: Final = "/opt/python/lib"
"""Where Python's own library is there, if Python was built with one."""

_MADE_ANEW: Final = ("etc", "home", "opt", "root", "run", "tmp", "usr/local/bin", "var")
"""Folders of the machine that are its own, and empty; but /etc is a copy."""

_BOOT: Final = f"""
set -eu
folder=$1 python=$2 source=$3 cgroup=$4
mount --make-rprivate /
mount --bind / "$folder/root"
mount -o remount,bind,ro "$folder/root"
cd "$folder/root"
for each in {" ".join(_MADE_ANEW)}; do mount -t tmpfs -o mode=755 tmpfs "$each"; done
chmod 1777 tmp
cp -a /etc/. etc/
rm -rf etc/*.lock etc/systemd/system  # nothing is started there that is here
tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id  # without one, units of all kinds would be enabled
mkdir -p opt/flom opt/python opt/source var/lib var/log var/tmp home/joe home/eve
mount --bind "$python" opt/python
mount --bind "$source" opt/source
mount -o remount,bind,ro opt/source
cp -a "$folder/venv/." opt/flom/
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs dev/shm
cp -a "$folder/etc/." etc/
ip link set lo up
container=flom-tests exec chroot . {SYSTEMD} --system --unit=started.target --log-target=console --show-status=no
"""


def why_not() -> str:
    """Return why there can be no such machine here; the empty string if there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not SYSTEMD.exists():
        return "needs systemd (Debian package systemd)"
    return "" if _cgroups() is not None else "needs control groups, version 2"


def _cgroups() -> Path | None:
    """Return where control groups of version 2 are."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


class Machine:
    """As a context manager, it runs inside, and nothing of it is left outside."""

    def __init__(self, folder: Path) -> None:
        """@param folder: an empty one, for its files."""
        self._folder = folder
        for name in ("root", "etc", "venv"):
            (folder / name).mkdir()
        units = folder / "etc" / "systemd" / "system"
        for unit in ("flom.service", "flom@.service"):
            (units / f"{unit}.d").mkdir(parents=True)
            (units / f"{unit}.d" / "python.conf").write_text(f"[Service]\nEnvironment=LD_LIBRARY_PATH={_LIBRARIES}\n")
        (units / "started.target").write_text("[Unit]\nDescription=The machine runs\nDefaultDependencies=no\n")
        (folder / "etc" / "sysusers.d").mkdir()
        (folder / "etc" / "sysusers.d" / "people.conf").write_text("u joe - - /home/joe\nu eve - - /home/eve\n")
        _make_environment(folder / "venv")
        cgroups = _cgroups()
        assert cgroups is not None
        self._cgroup = cgroups / f"flom-tests-{os.getpid()}"

    def __enter__(self) -> Machine:
        self._cgroup.mkdir()
        words = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]
        words += ["sh", "-c", _BOOT, "sh", str(self._folder), sys.base_prefix, str(ROOT), str(self._cgroup)]
        enter = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"'
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", enter, "sh", str(self._cgroup), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait_until_started()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait_until_started(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            log = (self._folder / "log").read_text(errors="replace")
            assert self._process.poll() is None, log
            assert time.monotonic() < deadline, log
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if children:
                self._pid = int(children[0])
                if self.run("systemctl is-active started.target").stdout == "active\n":
                    return
            time.sleep(0.05)

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command of the shell there, as root."""
        words = ["nsenter", f"--target={self._pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd=/"]
        environment = {"PATH": f"{OPT}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": _LIBRARIES}
        return subprocess.Popen(
            [*words, "sh", "-c", command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the shell there, as root, to its end; its stdout has its stderr too."""
        process = self.start(command)
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, process.returncode, said)

    def check(self, command: str) -> str:
        """Run C{command}, which has to end well, and return what it said."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process.poll() is None:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)  # all others of its namespace end with it, and its starter
        self._process.wait(PATIENCE)
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            os.rmdir(folder)


def _make_environment(folder: Path) -> None:
    """Make a virtual environment for L{OPT}, with the packages of ours."""
    packages = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    (folder / packages).mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").symlink_to(f"/opt/python/bin/python{sys.version_info[0]}.{sys.version_info[1]}")
    (folder / "bin" / "python").symlink_to("python3")
    (folder / "pyvenv.cfg").write_text("home = /opt/python/bin\n")
    theirs = Path("/opt/source") / Path(sysconfig.get_path("purelib")).relative_to(ROOT)
    (folder / packages / "ours.pth").write_text(f"import site; site.addsitedir({str(theirs)!r})\n/opt/source\n")
    for name in ("twistd", "flom-run", "flom", "flomctl"):
        text = (BIN / name).read_text()
        (folder / "bin" / name).write_text(text.replace(str(BIN), f"{OPT}/bin"))
        (folder / "bin" / name).chmod(0o755)
