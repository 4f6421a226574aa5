"""How long a call takes if its network path dies without notice; in network namespaces, on Linux, as root.

The kernel's timers take real seconds, so `nox -s soak` runs this and the suite does not. A path is cut by setting a
wrong hardware address of the other end on both sides: packets are sent and never arrive, without any error.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.scripts import Script, script

SERVER, OLD, NEW = "192.0.2.1", "192.0.2.2", "192.0.2.3"  # reserved for documentation
NOWHERE = "02:00:00:00:00:99"


def problem() -> str:
    """Returns why no path can be made here, or an empty string."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces take root"
    missing = [tool for tool in ("ip", "nsenter", "unshare") if shutil.which(tool) is None]
    if missing:
        return f"there is no {missing[0]} on this machine"
    made = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no network can be made: {made.stderr.strip()}" if made.returncode else ""


pytestmark = pytest.mark.skipif(problem() != "", reason=problem() or "it can be made")

IN_A_NAMESPACE = """
    import asyncio, ctypes, os
    assert ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == 0  # CLONE_NEWNET
    say(os.getpid())
    input()
"""

SERVE = f"""{IN_A_NAMESPACE}
    from tests.support.raw_server import CREATED, LISTED, http

    async def serve(reader, writer):
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
            if "/slow/" in head and writer.get_extra_info("peername")[0] == "{OLD}":
                say("holds", head.split()[0])
                await asyncio.sleep(3)  # the path is dead when it responds
            writer.write(http(200, CREATED if head.startswith("POST") else LISTED))

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(serve, "{SERVER}", 8000)
        say("serves")
        await asyncio.to_thread(input)
        os._exit(0)

    asyncio.run(main())
"""

CALL = f"""{IN_A_NAMESPACE}
    from pagerduty_alerting import APIConnectionError, AsyncClient

    def client(account):
        url = "http://{SERVER}:8000/v4"
        return AsyncClient(base_url=url, api_token="t", account_id=account, allow_insecure_http=True)

    async def report(name, call):
        try:
            response = await call
            say(name, "succeeded in attempt", response.attempts)
        except APIConnectionError as error:
            say(name, type(error).__name__, "in attempt", error.attempts, "acted", error.may_have_acted)

    async def main():
        idle, long_idle, listing, creating = [client(name) for name in ("fast", "fast", "slow", "slow")]
        async with idle, long_idle, listing, creating:
            await asyncio.gather(idle.list_services(), long_idle.list_services())
            during = [
                asyncio.create_task(report("list", listing.with_response.list_services())),
                asyncio.create_task(report("create", creating.with_response.create_integration_token())),
            ]
            say("called")
            await asyncio.to_thread(input)  # the path dies
            later = asyncio.create_task(report("idle", idle.with_response.list_services()))
            await asyncio.sleep(5)
            await report("long idle", long_idle.with_response.list_services())
            await asyncio.gather(later, *during)

    asyncio.run(main())
"""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def within(pid: str, *command: str) -> None:
    """Runs `ip` in the network namespace of a process."""
    run("nsenter", f"--target={pid}", "--net", "ip", *command)


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Script, str, Script, str]]:
    """Starts the server and the client, each in a namespace of its own, with a cable between the two."""
    with script(SERVE, {}) as server, script(CALL, {}) as client:
        server_id, client_id = server.read_line(), client.read_line()
        run(
            *("ip", "link", "add", "cable", "netns", client_id),
            *("type", "veth", "peer", "name", "cable", "netns", server_id),
        )
        for pid, address in ((server_id, SERVER), (client_id, OLD)):
            within(pid, "address", "add", f"{address}/24", "dev", "cable")
            within(pid, "link", "set", "cable", "up")
        server.write_line()
        assert server.read_line() == "serves"
        yield server, server_id, client, client_id


@pytest.mark.timeout(120)
def test_a_path_that_dies_without_notice_fails_an_attempt_but_not_the_call() -> None:
    """The client gets another address, and packets to or from the old one are lost, as after a restart of a NAT."""
    with two_hosts() as (server, server_id, client, client_id):
        client.write_line()
        assert client.read_line() == "called"
        assert {server.read_line(), server.read_line()} == {"holds GET", "holds POST"}
        within(client_id, "address", "add", f"{NEW}/24", "dev", "cable")
        within(client_id, "route", "replace", f"{SERVER}/32", "dev", "cable", "src", NEW)
        within(server_id, "neighbour", "replace", OLD, "lladdr", NOWHERE, "dev", "cable", "nud", "permanent")
        client.write_line()
        outcomes = {client.read_line() for _ in range(4)}
        assert client.end() == (0, "", "")
    assert outcomes == {
        "long idle succeeded in attempt 1",  # a connection that was idle for more than four seconds is not used
        "idle succeeded in attempt 2",  # the user timeout
        "list succeeded in attempt 2",  # keep-alive probes
        "create APIConnectionError in attempt 1 acted True",
    }
