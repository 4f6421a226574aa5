"""Starting and stopping, threads, and that nothing stays open afterwards."""

import asyncio
import contextlib
import gc
import http.client
import socket
import subprocess
import sys
import threading

import aiohttp
import pytest

from pagerduty_alerting.emulator import Emulator, EmulatorUsageError, Operation
from tests.support.scripts import errors_in

LIST = Operation.LIST


def ask(api, method="GET", path="/client/v4/nowhere"):
    connection = http.client.HTTPConnection(api.origin.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def address_of(api):
    host, port = api.origin.removeprefix("http://").rsplit(":", 1)
    return host, int(port)


def test_a_synchronous_emulator_leaves_no_thread():
    before = threading.active_count()
    with Emulator() as api:
        assert ask(api) == 404
        assert threading.active_count() == before + 1
        address = address_of(api)
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


async def test_an_asynchronous_emulator_leaves_no_task_or_socket(caller_of):
    before = asyncio.all_tasks()
    async with Emulator() as api:
        await caller_of(api)(LIST)
        address = address_of(api)
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    gc.collect()


async def test_exit_ends_requests_that_hang_drip_or_are_held(caller_of):
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session, Emulator() as api:
        call = caller_of(api)
        call.session = session
        gate = api.on(LIST).hold()
        api.on(Operation.DELETE).hang()
        api.on(Operation.CREATE).drip(interval=60)
        calls = [asyncio.create_task(call(LIST))]
        await gate.arrived()
        both = api.on(Operation.DELETE, Operation.CREATE).hold()
        calls += [asyncio.create_task(call(it)) for it in (Operation.DELETE, Operation.CREATE)]
        await both.arrived(2)
        both.release()
    assert all(isinstance(it, aiohttp.ClientError) for it in await asyncio.gather(*calls, return_exceptions=True))
    assert asyncio.all_tasks() == before


def test_exit_of_a_threaded_emulator_ends_held_requests():
    failures = []

    def held(api):
        try:
            ask(api)
        except OSError as error:
            failures.append(error)

    with Emulator() as api:
        gate = api.on().hold()
        thread = threading.Thread(target=held, args=(api,))
        thread.start()
        gate.wait_arrived()
    thread.join()
    assert len(failures) == 1


def test_an_emulator_that_is_not_serving_has_no_url():
    api = Emulator()
    with pytest.raises(EmulatorUsageError, match="not serving"):
        _ = api.url


async def test_an_emulator_that_is_serving_cannot_be_entered_again(api):
    with pytest.raises(EmulatorUsageError, match="already serving"), api:
        pass


def test_an_emulator_can_serve_again():
    api = Emulator()
    for _ in range(2):
        with api:
            assert ask(api) == 404


async def serve_asynchronously(port):
    async with Emulator(port=port):
        pass


def serve_synchronously(port):
    with Emulator(port=port):
        pass


@pytest.mark.parametrize("serve", [serve_synchronously, lambda port: asyncio.run(serve_asynchronously(port))])
def test_a_port_in_use_is_an_error_and_leaves_nothing_open(serve):
    before = threading.active_count()
    with Emulator() as first, pytest.raises(OSError, match=r"[Aa]ddress already in use|Only one usage"):
        serve(address_of(first)[1])
    assert threading.active_count() == before


def test_every_method_can_be_called_from_any_thread():
    failures = []

    def work(api):
        try:
            for number in range(20):
                account = api.add_account(services=[f"Service {number}"])
                assert len(api.services(account)) == 1
                api.on(LIST).once().respond(500).cancel()
                api.advance(1)
                assert ask(api) == 404
                assert api.requests.total > 0
        except BaseException as error:
            failures.append(error)

    with Emulator() as api:
        threads = [threading.Thread(target=work, args=(api,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(api.accounts()) == 81


def test_reset_from_another_thread_waits_for_the_servers_thread():
    with Emulator() as api:
        for _ in range(20):
            assert ask(api) == 404
            api.reset()
            assert api.requests.total == 0


def test_refusing_works_from_synchronous_code():
    with Emulator() as api:
        assert ask(api) == 404
        with api.refusing_connections(), pytest.raises(ConnectionRefusedError):
            ask(api)
        assert ask(api) == 404


def test_exit_while_refusing_frees_the_port():
    with Emulator() as api:
        api.refusing_connections().__enter__()
        port = address_of(api)[1]
    with Emulator(port=port) as api:
        assert ask(api) == 404


async def test_idle_connections_are_closed_after_keep_alive(caller_of):
    async with Emulator(keep_alive=0.01) as api:
        reader, writer = await asyncio.open_connection(*address_of(api))
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            assert b"404" in await reader.read()
        writer.close()


async def test_the_server_responds_to_invalid_http_with_400_and_continues(api, call):
    reader, writer = await asyncio.open_connection(*address_of(api))
    writer.write(b"\x00\x01\x02 nonsense\r\n\r\n")
    async with asyncio.timeout(10):
        assert b" 400 " in await reader.read()
    writer.close()
    assert (await call(LIST)).status == 200


async def test_pipelined_requests_get_responses_in_order(api):
    reader, writer = await asyncio.open_connection(*address_of(api))
    writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nOPTIONS /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.read()).count(b"HTTP/1.1 404") == 2
    writer.close()
    assert [request.path for request in api.requests] == ["/a", "/b"]


def test_environ_has_the_variables_of_cloudflares_sdks():
    with Emulator() as api:
        assert api.environ == {
            "CLOUDFLARE_API_TOKEN": api.api_token,
            "CLOUDFLARE_ACCOUNT_ID": api.account_id,
            "CLOUDFLARE_BASE_URL": api.url,
        }
        assert api.url == f"{api.origin}/client/v4"


def run_python(code):
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_imports_no_emulator():
    loaded = run_python("import pagerduty_alerting, sys; print(*sys.modules)")
    assert not [name for name in loaded if name.startswith("pagerduty_alerting.emulator")]


def test_the_emulator_imports_nothing_of_the_client():
    loaded = run_python(
        "import pagerduty_alerting.emulator as e, pagerduty_alerting.emulator.standalone, sys;"
        "[getattr(e, name) for name in e.__all__]; print(*sys.modules)"
    )
    imported = {name for name in loaded if name.startswith("pagerduty_alerting")}
    assert {name for name in imported if not name.startswith("pagerduty_alerting.emulator")} == {"pagerduty_alerting"}


def test_every_public_name_can_be_imported():
    import pagerduty_alerting.emulator as package

    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = package.nonsense


def test_there_are_no_warnings_in_development_mode():
    code = (
        "import asyncio, aiohttp\n"
        "from pagerduty_alerting.emulator import Emulator\n"
        "async def main():\n"
        "    async with Emulator() as api, aiohttp.ClientSession() as session:\n"
        "        async with session.get(api.url) as response: await response.read()\n"
        "asyncio.run(main())\n"
        "with Emulator() as api: asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, errors_in(done.stderr)) == (0, "")


async def test_refusing_again_before_the_server_listens_refuses(api, call):
    server = api._server
    server.refuse()
    server.accept()
    server.refuse(seconds=60)
    server.refuse(seconds=60)
    await server._opening
    with pytest.raises(aiohttp.ClientConnectorError):
        await call(LIST)
    server.accept()
    assert (await call(LIST)).status == 200


@pytest.mark.parametrize("iterations", range(6))
async def test_exit_while_a_connection_is_being_accepted_leaves_nothing_open(iterations):
    async with Emulator() as api:
        client = socket.create_connection(address_of(api), timeout=30)
        for _ in range(iterations):  # of the event loop, each of which does one step of accepting it
            await asyncio.sleep(0)
    with client, contextlib.suppress(ConnectionResetError):  # before the first step, it was never accepted
        assert client.recv(1) == b""
    gc.collect()  # a socket that was left open is a warning, and so an error


async def test_exit_right_after_accepting_again_leaves_nothing_open():
    before = asyncio.all_tasks()
    async with Emulator() as api:
        with api.refusing_connections():
            pass
    assert asyncio.all_tasks() == before


def test_controlling_an_emulator_that_is_not_serving_has_no_effect():
    api = Emulator()
    api.drop_connections()
    with api.refusing_connections():
        pass
    api.reset()
    assert api.requests.total == 0


def test_an_error_on_the_servers_thread_reaches_the_caller():
    with Emulator() as api, pytest.raises(ZeroDivisionError):
        api._server.call(lambda: 1 // 0)
