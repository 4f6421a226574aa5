"""Web servers whose applications use one module-level `Client`.

To add one, add an entry to `SERVERS`: what it needs, and the command that serves on the socket with number {fd}.
"""

import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import frozen

from tests.hosts.harness import (
    HANGING_ACCOUNT,
    account_ids,
    ask,
    ask_for_all,
    ask_until_all_respond,
    ask_until_the_end,
    check,
    listening,
    needs,
    running,
    without,
)


@frozen
class Server:
    """How a server is started and stopped.

    Attributes:
        needs: The modules and programs without which it cannot run.
        command: Its command; {fd} stands for the number of the socket.
        stop: The signal that stops it.
        status: Its exit status after that signal.
        usual_stderr: Regular expression for what it always writes to standard error.
        workers: The number of processes that respond.
    """

    needs: tuple[str, ...]
    command: str
    stop: signal.Signals = signal.SIGTERM
    status: int = 0
    usual_stderr: str = ""
    workers: int = 2


GUNICORN = "gunicorn --bind fd://{fd} --workers 2 --log-level warning"
UVICORN = "uvicorn --fd {fd} --log-level warning"
UWSGI = (
    "uwsgi --http-socket fd://{fd} --master --processes 2"
    f" --virtualenv {sys.prefix} --module wsgi --need-app --die-on-term --disable-logging"
)
# Its settings until the master starts, and the start and stop of its processes.
UWSGI_USUAL_STDERR = (
    r"\A.*?^spawned uWSGI master[^\n]*\n"
    r"|^(spawned uWSGI|WSGI app 0|\*\*\* running gevent|SIGINT/SIGTERM received|Brutally killing|worker \d buried"
    r"|goodbye to|[\w :]+ - (stopping|main) gevent [\w ]*watchers)[^\n]*\n"
)

SERVERS = {
    "gunicorn sync": Server(("gunicorn",), f"{GUNICORN} -k sync wsgi"),
    "gunicorn sync --preload": Server(("gunicorn",), f"{GUNICORN} -k sync --preload wsgi"),
    "gunicorn gthread --preload": Server(("gunicorn",), f"{GUNICORN} -k gthread --threads 8 --preload wsgi"),
    "gunicorn gevent": Server(("gunicorn", "gevent"), f"{GUNICORN} -k gevent wsgi"),
    "gunicorn gevent --preload": Server(
        ("gunicorn", "gevent"),
        f"{GUNICORN} -k gevent --preload wsgi",
        # The application was imported before gunicorn patches.
        usual_stderr=r"^[^\n]*MonkeyPatchWarning: [^\n]*\n  monkey.patch_all\(\)\n",
    ),
    "gunicorn uvicorn": Server(
        ("gunicorn", "uvicorn_worker", "fastapi"),
        f"{GUNICORN} -k uvicorn_worker.UvicornWorker --preload fastapi_app:in_threads",
    ),
    "uwsgi": Server(("uwsgi",), UWSGI, usual_stderr=UWSGI_USUAL_STDERR),
    "uwsgi threads": Server(("uwsgi",), f"{UWSGI} --enable-threads --threads 8", usual_stderr=UWSGI_USUAL_STDERR),
    "uwsgi gevent": Server(
        ("uwsgi", "gevent"), f"{UWSGI} --gevent 50 --gevent-early-monkey-patch", usual_stderr=UWSGI_USUAL_STDERR
    ),
    "flask": Server(("gunicorn", "flask"), f"{GUNICORN} -k gthread --threads 8 flask_app"),
    "fastapi": Server(("uvicorn", "fastapi"), f"{UVICORN} fastapi_app:in_threads", signal.SIGINT, workers=1),
    "fastapi on the loop": Server(
        ("uvicorn", "fastapi"), f"{UVICORN} fastapi_app:on_the_loop", status=-signal.SIGTERM, workers=1
    ),
    "django wsgi": Server(("gunicorn", "django"), f"{GUNICORN} -k gthread --threads 8 django_app:wsgi"),
    "django asgi": Server(("uvicorn", "django"), f"{UVICORN} django_app:asgi", status=-signal.SIGTERM, workers=1),
}


def command(server: Server, fd: int) -> list[str]:
    """Returns the command that serves on a socket."""
    return server.command.format(fd=fd).split()


@pytest.mark.parametrize("server", [pytest.param(it, id=name, marks=needs(*it.needs)) for name, it in SERVERS.items()])
def test_every_call_returns_the_services_of_its_account_and_the_server_stops_without_messages(
    server: Server, api: Mapping[str, str], tmp_path: Path
) -> None:
    accounts = account_ids()
    with (
        listening() as socket,
        running(command(server, socket.fileno()), api, tmp_path, [socket.fileno()]) as process,
    ):
        port = socket.getsockname()[1]
        check(ask_for_all(port, accounts), accounts)
        ask_until_all_respond(port, process, server.workers)
        assert process.stop(server.stop, server.usual_stderr) == (server.status, "")


@pytest.mark.parametrize("server", [pytest.param(it, id=name, marks=needs(*it.needs)) for name, it in SERVERS.items()])
def test_a_server_that_is_stopped_during_calls_returns_no_wrong_result_and_stops_without_messages(
    server: Server, api: Mapping[str, str], tmp_path: Path
) -> None:
    with (
        listening() as socket,
        running(command(server, socket.fileno()), api, tmp_path, [socket.fileno()]) as process,
    ):
        port = socket.getsockname()[1]
        ask_until_all_respond(port, process, server.workers)
        socket.close()  # so that the server's end closes it
        ask_until_the_end(port, account_ids(), lambda: process.send_signal(server.stop))
        ended = process.end()
        assert (ended.status, without(server.usual_stderr, ended.stderr)) == (server.status, "")


@needs("gunicorn")
def test_gunicorn_loses_no_request_while_it_reloads_its_workers(api: Mapping[str, str], tmp_path: Path) -> None:
    accounts = account_ids()
    server = SERVERS["gunicorn gthread --preload"]
    with (
        listening() as socket,
        running(command(server, socket.fileno()), api, tmp_path, [socket.fileno()]) as process,
    ):
        port = socket.getsockname()[1]
        check({account_id: ask(port, account_id) for account_id in accounts[:1]}, accounts[:1])
        with ThreadPoolExecutor(1) as pool:
            results = pool.submit(ask_for_all, port, accounts)
            process.send_signal(signal.SIGHUP)
            check(results.result(), accounts)
        assert process.stop(server.stop) == (server.status, "")


@needs("gunicorn")
def test_a_worker_that_exceeds_gunicorns_timeout_shows_the_traceback_of_its_handler(
    api: Mapping[str, str], tmp_path: Path
) -> None:
    server = Server(("gunicorn",), f"{GUNICORN} -k sync --timeout 1 wsgi")
    with (
        listening() as socket,
        running(command(server, socket.fileno()), api, tmp_path, [socket.fileno()]) as process,
    ):
        port = socket.getsockname()[1]
        ask(port, HANGING_ACCOUNT)
        check(ask_for_all(port, account_ids(20)), account_ids(20))
        ended = process.stop(server.stop)

    assert ended.status == 0
    assert "WORKER TIMEOUT" in ended.stderr
    assert "in handle_abort" in ended.stderr
    assert "in names" in ended.stderr
    assert "SystemExit" in ended.stderr
