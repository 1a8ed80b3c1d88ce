"""The examples for web frameworks, task queues and schedulers do what docs/howto/python.md says they do."""

from __future__ import annotations

import os
import subprocess
import sys

from flom import lock
from tests.examples.test_programming import EXAMPLES, output
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs


def run(program: str, daemon: Daemon) -> list[str]:
    """Run C{program}, which finds the examples and C{daemon}; return the lines that it prints."""
    environment = os.environ | {"FLOM_SOCKET": daemon.socket, "PYTHONPATH": str(EXAMPLES)}
    words = [sys.executable, "-c", program]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_asyncio(daemon: Daemon) -> None:
    lines = output("aio_program.py", daemon.socket)
    assert sorted(lines[:6]) == [f"task {number} {what}" for number in range(3) for what in ("begins", "ends")]
    assert [line.split()[2] for line in lines[:6]] == ["begins", "ends"] * 3
    assert lines[6:] == [
        "held at once: ['green', 'red']",
        f"red.green at {daemon.socket}: not granted within 0.1 s",
        "one report at a time",
    ]


FASTAPI = """
from fastapi.testclient import TestClient
from fastapi_app import app, locks
from flom import lock

with TestClient(app) as web:
    def ask(name):
        answer = web.post("/reports/" + name)
        print(answer.status_code, answer.json())
    ask("sales")
    with lock("/reports/sales"):
        ask("sales")
        ask("stock")
    ask("sales")
"""


def test_fastapi(daemon: Daemon) -> None:
    """What is being made is answered with 409."""
    assert run(FASTAPI, daemon) == [
        "200 {'report': 'sales'}",
        f"409 {{'detail': '/reports/sales at {daemon.socket}: locked by another client'}}",
        "200 {'report': 'stock'}",
        "200 {'report': 'sales'}",
    ]


DJANGO = """
import django
from django.conf import settings
from django.core.management import CommandError, call_command
settings.configure()
django.setup()
from django_nightly import Command
try:
    call_command(Command())
except CommandError as e:
    print(e.returncode, e)
"""


def test_django(daemon: Daemon) -> None:
    with lock("nightly", socket=daemon.socket):
        assert run(DJANGO, daemon) == [f"98 nightly at {daemon.socket}: locked by another client"]
    assert run(DJANGO, daemon) == ["working", "done"]


CELERY = """
import os
from celery.contrib.testing.worker import start_worker
from celery_tasks import app, bill, rebuild_index
from flom import lock

app.conf.broker_transport_options = {"polling_interval": 0.01}
with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
    with lock("index"):
        print(rebuild_index.delay().get(timeout=20, interval=0.01))
    print(rebuild_index.delay().get(timeout=20, interval=0.01))
    with lock("/customers/7"):
        seven, eight = bill.delay(7), bill.delay(8)
        print(eight.get(timeout=20, interval=0.01))
    print(seven.get(timeout=20, interval=0.01), flush=True)
    os._exit(0)  # the worker would take seconds for its end
"""


def test_celery(daemon: Daemon) -> None:
    """A worker in a process of the test's, with a broker in memory."""
    assert run(CELERY, daemon) == [
        "another worker is at it",
        "rebuilt",
        "customer 8 is billed",
        "customer 7 is billed",
    ]


SCHEDULER = """
import asyncio
from apscheduler.triggers.date import DateTrigger
import apscheduler_job
apscheduler_job.CLOCKS = 1.0
print("ready", flush=True)
input()
asyncio.run(apscheduler_job.main(DateTrigger()))
"""


def test_apscheduler(daemon: Daemon, programs: Programs) -> None:
    """Two of the three hosts, which are processes here, leave the job to the one that has begun."""
    environment = {"FLOM_SOCKET": daemon.socket, "PYTHONPATH": str(EXAMPLES)}
    hosts = [programs.start_program(sys.executable, "-c", SCHEDULER, environment=environment) for _ in range(3)]
    assert [host.line() for host in hosts] == ["ready"] * 3
    for host in hosts:
        host.say("go")
    said = sorted(host.line().split(maxsplit=1)[1] for host in hosts)
    assert said == ["does it", "leaves it to another host", "leaves it to another host"]
