"""Celery tasks with one synchronous client for each worker process.

Needs celery, and reads the CLOUDFLARE_* variables, and CELERY_BROKER_URL and CELERY_RESULT_BACKEND. Run it in this
directory with `celery --app tasks_celery worker`.
"""

import os

from celery import Celery

from pagerduty_alerting import APIConnectionError, Client, InternalServerError, RateLimitError

app = Celery(
    "tasks_celery",
    broker=os.environ.get("CELERY_BROKER_URL", "memory://"),
    backend=os.environ.get("CELERY_RESULT_BACKEND", "cache+memory://"),
)

# Made before Celery forks its workers: each of them opens its own connections.
client = Client(timeout=20)


# The client retries within its timeout; after that, Celery retries the task. List and delete may be repeated.
@app.task(autoretry_for=(APIConnectionError, InternalServerError, RateLimitError), retry_backoff=True, max_retries=5)
def names_of_services(account_id: str) -> list[str]:
    """Returns the names of the PagerDuty services that an account can notify."""
    return [service.name for service in client.list_services(account_id=account_id)]


@app.task(autoretry_for=(APIConnectionError, InternalServerError, RateLimitError), retry_backoff=True, max_retries=5)
def disconnect(account_id: str) -> None:
    """Deletes every PagerDuty service of an account."""
    client.delete_services(account_id=account_id)


@app.task
def connect(account_id: str, token: str) -> str:
    """Links PagerDuty after a person has authorized the token; not retried, because a failed call may have succeeded.

    The token passes through the broker, which must be trusted with secrets.
    """
    return client.connect(token, account_id=account_id).id
