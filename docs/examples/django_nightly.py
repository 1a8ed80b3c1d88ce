"""
A management command of Django that runs on one host at a time.

Put it into C{management/commands/nightly.py} of an application, and C{manage.py nightly} into the crontab of every
host. Where it is called while another host runs it, it ends with status 98, as C{flom-run} does.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flom import LockBusy, lock


class Command(BaseCommand):
    help = "Do what is to be done at night, on one host at a time."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with lock("nightly", wait=False) as held:
                self.stdout.write("working")  # in steps; before each that must not be taken twice:
                held.check()
                self.stdout.write("done")
        except LockBusy as e:
            raise CommandError(str(e), returncode=98) from e
