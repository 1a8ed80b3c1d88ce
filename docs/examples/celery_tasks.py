"""
Tasks of Celery that run once at a time, on however many workers and hosts.

Run them by C{celery -A celery_tasks worker}. C{acks_late} has the broker deliver a task again whose worker was killed;
the lock ends with the worker's process, so the next one gets it.
"""

import os
from typing import Any

from celery import Celery

from flom import LockBusy, lock

app = Celery("celery_tasks", broker=os.environ.get("BROKER", "memory://"), backend="cache+memory://")


@app.task(acks_late=True)
def rebuild_index() -> str:
    """Rebuild the index; there is nothing to do if that is being done."""
    try:
        with lock("index", wait=False):
            return "rebuilt"
    except LockBusy:
        return "another worker is at it"


@app.task(bind=True, acks_late=True, max_retries=None)
def bill(self: Any, customer: int) -> str:
    """Bill a customer; if another task is about that customer, come back later, and leave the worker to others."""
    try:
        with lock(f"/customers/{customer}", timeout=0.1):
            return f"customer {customer} is billed"
    except TimeoutError as e:
        raise self.retry(exc=e, countdown=0.2) from e
