"""Serves the emulated API in a separate process: prints the environment for clients, and ends with its standard input.

Its arguments are the path of a JSON file with the accounts, and the account that gets no response. The API is served
over TLS as well; `HOSTS_TLS` holds the variables that differ for clients of that.
"""

import asyncio
import contextlib
import json
import ssl
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from pagerduty_alerting.emulator import Emulator, InitialState, Operation, RateLimits

LATENCY = 0.01  # seconds, so that calls overlap


def serve_tls(url: str, trusted: Path) -> str:
    """Serves an API over TLS until the process ends; returns its URL, and writes the certificate to trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(trusted))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    listening: Future[int] = Future()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_api, to_api = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        await asyncio.gather(copy(reader, to_api), copy(from_api, writer))

    async def serve() -> None:
        server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context, backlog=512)
        listening.set_result(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    return url.replace("http:", "https:").replace(str(urlsplit(url).port), str(listening.result()))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies bytes until the source or the target is closed."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


accounts = Path(sys.argv[1])
hanging = sys.argv[2]

with Emulator(
    rate_limits=RateLimits.unlimited(), initial_state=InitialState.from_file(accounts), latency=LATENCY
) as api:
    api.on(Operation.LIST).when(lambda request: hanging in request.path).hang()
    trusted = accounts.with_name("authority.pem")
    tls = {"CLOUDFLARE_BASE_URL": serve_tls(api.environ["CLOUDFLARE_BASE_URL"], trusted), "SSL_CERT_FILE": str(trusted)}
    print(json.dumps({**api.environ, "HOSTS_TLS": json.dumps(tls)}), flush=True)
    sys.stdin.read()
