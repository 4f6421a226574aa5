"""Whatever bytes a server sends, a call returns the right result or raises an exception of the package."""

import asyncio
import functools
import gzip
import tracemalloc
import zlib
from itertools import product
from typing import Any

import orjson
import pytest

from pagerduty_alerting import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    AsyncClient,
    Client,
    ConnectedDestination,
    InternalServerError,
    NotFoundError,
    PagerDutyAlertingError,
    Service,
)
from tests.support.operations import TOKEN_ID
from tests.support.raw_calls import CALLS, call, settings
from tests.support.raw_server import (
    CREATED,
    LISTED,
    Conversation,
    Script,
    answering,
    http,
    raw_server,
    raw_server_in_thread,
)
from tests.support.size import sample, size

MIB = 1024 * 1024
PART = size(1, full=8)  # of the 8 MB that a body may have, in eighths


@pytest.fixture(params=["async", "sync"])
def flavour(request: pytest.FixtureRequest) -> str:
    return request.param


def outcome(flavour: str, script: Script | bytes, operation: str = "list_services", **changes: Any) -> Any:
    """Returns the result of a call, or the exception that it raised."""
    changes = {"timeout": 30, **changes}
    if isinstance(script, bytes):
        script = answering(script, keep_open=False)

    async def asynchronous() -> Any:
        async with raw_server(script) as server, AsyncClient(**settings(server.url, **changes)) as client:
            return await call(client, operation)

    try:
        if flavour == "async":
            return asyncio.run(asynchronous())
        with raw_server_in_thread(script) as server, Client(**settings(server.url, **changes)) as client:
            return getattr(client, operation)(*CALLS[operation])
    except PagerDutyAlertingError as error:
        return error


def enveloped(**fields: Any) -> bytes:
    return orjson.dumps({"success": True, "errors": [], "messages": [], "result": [], **fields})


def service(**fields: Any) -> bytes:
    return enveloped(result=[{"id": "s1", "name": "one", **fields}])


# Every form of a body is tested in tests/unit/test_forms_of_bodies.py; here, a few of them arrive over the network.
BODIES_WITHOUT_ENVELOPE = {
    "html": b"<!DOCTYPE html><html><body>nothing here</body></html>",
    "empty": b"",
    "a service as a string": enveloped(result=["s1"]),
    "nested objects": b'{"result":' * 200_000,
    "a million wrong services": b'{"success":true,"result":[' + b"1," * 1_000_000 + b"1]}",
}


@pytest.mark.parametrize("name", BODIES_WITHOUT_ENVELOPE)
def test_a_success_without_an_envelope_is_a_validation_error(flavour: str, name: str) -> None:
    error = outcome(flavour, http(299, BODIES_WITHOUT_ENVELOPE[name]))
    assert type(error) is APIResponseValidationError
    assert len(str(error)) < 2500
    assert error.status == 299


@pytest.mark.parametrize("name", BODIES_WITHOUT_ENVELOPE)
def test_an_error_without_an_envelope_is_the_error_of_its_status(flavour: str, name: str) -> None:
    error = outcome(flavour, http(404, BODIES_WITHOUT_ENVELOPE[name]))
    assert type(error) is NotFoundError
    assert len(str(error)) < 2500
    assert str(error).isprintable()


@pytest.mark.parametrize("status", [200, 502])
def test_success_false_is_an_error_whatever_the_status(flavour: str, status: int) -> None:
    body = b'{"success":false,"errors":[{"code":1234,"message":"it went wrong"}]}'
    error = outcome(flavour, http(status, body))
    assert isinstance(error, APIStatusError)
    assert error.codes == (1234,)
    assert error.status == status


def test_harmless_deviations_are_accepted(flavour: str) -> None:
    body = b'\xef\xbb\xbf{"success":true,"messages":7,"result_info":"x","result":[{"id":"s1","name":"one"},{}]}'
    assert outcome(flavour, http(200, body)) == [Service("s1", "one"), Service("", "")]


@pytest.mark.parametrize("messages", [1, "text", {"message": "m"}, [None, {"code": "x"}]], ids=repr)
def test_a_created_token_is_returned_despite_malformed_messages(flavour: str, messages: object) -> None:
    body = enveloped(messages=messages, errors=messages, result_info=messages, result={"id": "made"})
    assert outcome(flavour, http(201, body), "create_integration_token").id == "made"


@pytest.mark.parametrize("result", [None, {"id": ""}], ids=repr)
def test_a_created_token_without_an_id_is_a_validation_error(flavour: str, result: object) -> None:
    error = outcome(flavour, http(201, enveloped(result=result)), "create_integration_token")
    assert type(error) is APIResponseValidationError
    assert "may have been carried out" in str(error)


def test_connect_succeeds_without_a_result(flavour: str) -> None:
    assert outcome(flavour, http(200, b'{"success":true}'), "connect") == ConnectedDestination("")


@pytest.mark.parametrize("operation", CALLS)
def test_a_response_without_content_is_a_validation_error(operation: str) -> None:
    error = outcome("async", b"HTTP/1.1 204 Nothing\r\n\r\n", operation)
    assert type(error) is APIResponseValidationError
    assert "the body is empty" in str(error)


# HTTP itself.

_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_GZIP = _HEAD + b"Content-Encoding: gzip\r\n"
_DEFLATE = _HEAD + b"Content-Encoding: deflate\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def sized(head: bytes, body: bytes) -> bytes:
    return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


BROKEN_HTTP = {
    "nothing": b"",
    "a line": b"hello\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02F",
    "a request": b"GET / HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a truncated status line": b"HTTP/1.1 20",
    "a truncated head": b"HTTP/1.1 200 OK\r\nContent-Type: appl",
    "a status of letters": b"HTTP/1.1 OK 200\r\n\r\n",
    "a negative status": b"HTTP/1.1 -200 OK\r\n\r\n",
    "a status line without an end": b"HTTP/1.1 200 " + b"O" * 100_000,
    "a header without an end": _HEAD + b"X: " + b"x" * 100_000,
    "a header name without an end": _HEAD + b"x" * 100_000,
    "thousands of headers": _HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n" + LISTED,
    "a header without a colon": _HEAD + b"what is this\r\n\r\n",
    "NUL in a header": _HEAD + b"X: a\0b\r\n\r\n",
    "a truncated body": http(200, LISTED)[:-5],
    "no body at all": http(200, LISTED)[: -len(LISTED)],
    "a length that is too long": _HEAD + b"Content-Length: 5000\r\n\r\n" + LISTED,
    "a length of letters": _HEAD + b"Content-Length: many\r\n\r\n" + LISTED,
    "a negative length": _HEAD + b"Content-Length: -1\r\n\r\n" + LISTED,
    "a length beyond 64 bits": _HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n" + LISTED,
    "two lengths": _HEAD + b"Content-Length: 5\r\nContent-Length: 500\r\n\r\n" + LISTED,
    "a length and chunks": _CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 5\r\n") + chunk(LISTED) + b"0\r\n\r\n",
    "invalid chunk sizes": _CHUNKED + b"zz\r\n" + LISTED,
    "a negative chunk size": _CHUNKED + b"-5\r\n" + LISTED,
    "a chunk size beyond 64 bits": _CHUNKED + b"ffffffffffffffffffffff\r\n" + LISTED,
    "a chunk without its line break": _CHUNKED + b"5\r\nabcdeXX0\r\n\r\n",
    "chunks without an end": _CHUNKED + chunk(LISTED),
    "a truncated chunk": _CHUNKED + chunk(LISTED)[:-8],
    "trailers without an end": _CHUNKED + chunk(LISTED) + b"0\r\nX: " + b"x" * 100_000,
    "invalid gzip": sized(_GZIP, b"this is not compressed"),
    "invalid deflate": sized(_DEFLATE, b"this is not compressed"),
    "a broken checksum": sized(_GZIP, gzip.compress(LISTED)[:-8] + b"\0" * 8),
    "truncated deflate": sized(_DEFLATE, zlib.compress(LISTED)[:-10]),
    "brotli, which was not requested": sized(_HEAD + b"Content-Encoding: br\r\n", b"\x0b\x02\x80"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_HTTP)
def test_broken_http_is_a_connection_error(flavour: str, name: str) -> None:
    error = outcome(flavour, BROKEN_HTTP[name])
    assert type(error) is APIConnectionError
    assert "unexpected" not in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 600


@pytest.mark.parametrize("name", BROKEN_HTTP)
def test_broken_http_with_an_error_status_is_an_error_of_the_package(name: str) -> None:
    error = outcome("async", BROKEN_HTTP[name].replace(b" 200 ", b" 502 "))
    assert isinstance(error, APIConnectionError | InternalServerError)


INCOMPLETE_BODIES = {
    "a length that is too short": _HEAD + b"Content-Length: 10\r\n\r\n" + LISTED,
    "truncated gzip": sized(_GZIP, gzip.compress(LISTED)[:-12]),
    "an unknown encoding": sized(_HEAD + b"Content-Encoding: rot13\r\n", b"abc"),
    "two encodings": sized(_HEAD + b"Content-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(LISTED))),
}


@pytest.mark.parametrize("name", INCOMPLETE_BODIES)
def test_an_incomplete_or_undecodable_body_is_an_error_of_the_package(flavour: str, name: str) -> None:
    error = outcome(flavour, INCOMPLETE_BODIES[name])
    assert isinstance(error, APIResponseValidationError | APIConnectionError)


UNUSUAL_BUT_VALID = {
    "until the connection closes": _HEAD + b"\r\n" + LISTED,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + LISTED,
    "no reason": b"HTTP/1.1 200\r\n\r\n" + LISTED,
    "chunks of one byte": _CHUNKED + b"".join(chunk(bytes([byte])) for byte in LISTED) + b"0\r\n\r\n",
    "trailers": _CHUNKED + chunk(LISTED) + b"0\r\nX-Trailer: 1\r\n\r\n",
    "chunk extensions": _CHUNKED + b'%x;a="b"\r\n' % len(LISTED) + LISTED + b"\r\n0\r\n\r\n",
    "gzip": sized(_GZIP, gzip.compress(LISTED)),
    "gzip in parts": sized(_GZIP, gzip.compress(LISTED[:20]) + gzip.compress(LISTED[20:])),
    "deflate": sized(_DEFLATE, zlib.compress(LISTED)),
    "raw deflate": sized(_DEFLATE, zlib.compress(LISTED)[2:-4]),
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http(200, LISTED),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + http(200, LISTED),
    "a second response after the first": http(200, LISTED) + http(500),
    "cookies": http(200, LISTED, "Set-Cookie: a=b; Path=/\r\nSet-Cookie: \xfe=\xff;;;=; Expires=never\r\n"),
    "a ray id of 8,000 characters": http(200, LISTED, f"CF-Ray: {'r' * 8000}\r\n"),
    "several ray ids": http(200, LISTED, "CF-Ray: one\r\nCF-Ray: two\r\n"),
    "a ray id that is not text": http(200, LISTED, "CF-Ray: \xff\xfe\r\n"),
    "a huge Ratelimit": http(200, LISTED, f"Ratelimit: {'x' * 8000}\r\nRatelimit-Policy: {'9' * 8000}\r\n"),
    "a hundred Ratelimits": http(200, LISTED, 'Ratelimit: "a";r=5;t=6\r\n' * 100),
    "binary headers": http(200, LISTED, "X-Binary: \xff\xfe\xfd\r\n"),
    "the wrong type": http(200, LISTED, "Content-Type: text/html; charset=utf-16\r\n"),
    "an invalid type": http(200, LISTED, "Content-Type: ;;;=\xff\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSUAL_BUT_VALID)
def test_unusual_but_valid_http_is_accepted(flavour: str, name: str) -> None:
    assert outcome(flavour, UNUSUAL_BUT_VALID[name]) == [Service("s1", "one")]


def test_control_characters_in_headers_are_not_shown(flavour: str) -> None:
    """aiohttp accepts them, except in Python's development mode."""
    answer = http(502, headers="CF-Ray: \x1b[2J\r\nRatelimit: \x01\r\nRetry-After: \x02\r\nLocation: \x03\r\n")
    error = outcome(flavour, answer)
    assert isinstance(error, InternalServerError | APIConnectionError)
    assert str(error).isprintable()


@pytest.mark.parametrize("status", [0, 99, 101, 600, 999])
def test_an_invalid_status_is_an_error_of_the_package(flavour: str, status: int) -> None:
    answer = f"HTTP/1.1 {status:03} Odd\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n".encode() + LISTED
    assert isinstance(outcome(flavour, answer), PagerDutyAlertingError)


def test_switching_protocols_is_an_error_and_the_data_after_it_are_not_kept() -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        for _ in range(200):
            peer.send(b"x" * 65536)
            await peer.drain()

    error, peak = peak_of(script)
    assert type(error) is APIStatusError
    assert error.status == 101
    assert peak < 6 * MIB


LOCATIONS = [
    ("https://evil.example/client/v4?token=secret-in-url", "evil.example"),
    ("//evil.example/path", "evil.example"),
    ("https://user:secret-in-url@evil.example:444/path", "evil.example"),
    ("/elsewhere/secret-in-url", "another path of the same host"),
    ("secret-in-url", "an unknown host"),
    ("javascript:secret-in-url", "an unknown host"),
    ("http://[secret-in-url", "an unknown host"),
    ("", "an unknown host"),
    ("https://" + "x" * 5000, "an unknown host"),
]


@pytest.mark.parametrize(
    ("location", "status"), sample(product(LOCATIONS, [300, 301, 302, 303, 304, 305, 307, 308]), every=5)
)
def test_a_redirect_is_not_followed_and_only_its_host_is_named(location: tuple[str, str], status: int) -> None:
    url, named = location
    requests: list[str] = []

    async def script(peer: Conversation) -> None:
        requests.append(await peer.request())
        peer.send(f"HTTP/1.1 {status} Moved\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode())

    error = outcome("async", script)
    assert type(error) is APIStatusError
    assert named in str(error)
    assert "secret-in-url" not in str(error)
    assert len(requests) == 1


@pytest.mark.parametrize(("operation", "status"), sample(product(CALLS, [301, 302, 303, 307, 308]), every=3))
def test_no_operation_follows_a_redirect_even_on_the_same_host(flavour: str, status: int, operation: str) -> None:
    requests: list[str] = []

    async def script(peer: Conversation) -> None:
        requests.append(await peer.request())
        peer.send(http(status, headers="Location: /v4/elsewhere\r\n"))

    assert isinstance(outcome(flavour, script, operation), APIStatusError)
    assert len(requests) == 1


def test_cookies_are_not_sent_back() -> None:
    async def main() -> list[str]:
        script = answering(http(200, LISTED, "Set-Cookie: session=abc; Path=/\r\n"))
        async with raw_server(script) as server, AsyncClient(**settings(server.url)) as client:
            await client.list_services()
            await client.list_services()
            return server.requests

    assert not any("cookie" in request.lower() for request in asyncio.run(main()))


def test_data_after_a_response_does_not_become_the_next_response() -> None:
    other = http(200, b'{"success":true,"result":[{"id":"evil","name":"evil"}]}')

    async def main() -> list[Any]:
        script = answering(http(200, LISTED) + other, http(200, LISTED))
        async with raw_server(script) as server, AsyncClient(**settings(server.url)) as client:
            return [await client.list_services() for _ in range(2)]

    assert asyncio.run(main()) == [[Service("s1", "one")]] * 2


# Size.


async def fifty_mib(peer: Conversation) -> None:
    await peer.request()
    peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {50 * MIB}\r\n\r\n".encode())
    for _ in range(800):
        peer.send(b" " * 65536)
        await peer.drain()


async def endless_chunks(peer: Conversation) -> None:
    await peer.request()
    peer.send(_CHUNKED)
    while True:
        peer.send(chunk(b" " * 65536))
        await peer.drain()


@functools.cache
def compressed_spaces(mib: int) -> bytes:
    """Returns compressed spaces, which are compressed at the first use and never held in memory as a whole."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(compressor.compress(b" " * MIB) for _ in range(mib)), compressor.flush()])


async def gzip_bomb(peer: Conversation) -> None:
    await peer.request()
    peer.send(sized(_GZIP, compressed_spaces(size(50, full=200))))


async def gzip_bomb_of_many_parts(peer: Conversation) -> None:
    await peer.request()
    peer.send(sized(_GZIP, compressed_spaces(30) * 100))


async def endless_head(peer: Conversation) -> None:
    await peer.request()
    peer.send(_HEAD)
    while True:
        peer.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        await peer.drain()


async def flood_of_continues(peer: Conversation) -> None:
    await peer.request()
    for _ in range(size(25, full=1000)):
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        await peer.drain()


async def millions_of_empty_lines(peer: Conversation) -> None:
    await peer.request()
    for _ in range(200):
        peer.send(b"\r\n" * 30_000)
        await peer.drain()


def peak_of(script: Script, **changes: Any) -> tuple[Any, int]:
    """Returns the outcome of a call, and the peak of Python's memory during it, the server's part included."""
    outcome("async", http(200, LISTED))
    tracemalloc.start()
    try:
        result = outcome("async", script, **changes)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("script", [fifty_mib, endless_chunks, gzip_bomb, gzip_bomb_of_many_parts])
def test_a_body_is_read_to_the_limit_and_no_further(script: Script) -> None:
    error, peak = peak_of(script)
    assert type(error) is APIResponseValidationError
    assert "longer than the limit of 8,388,608 bytes" in str(error)
    assert peak < 24 * MIB


@pytest.mark.parametrize("script", [fifty_mib, gzip_bomb])
def test_the_limit_of_a_body_can_be_set(script: Script) -> None:
    error, peak = peak_of(script, max_response_bytes=100_000)
    assert type(error) is APIResponseValidationError
    assert "longer than the limit of 100,000 bytes" in str(error)
    assert peak < 6 * MIB


@pytest.mark.parametrize("size", [99_999, 100_000])
def test_a_body_up_to_the_limit_is_read(flavour: str, size: int) -> None:
    body = LISTED + b" " * (size - len(LISTED))
    assert outcome(flavour, http(200, body), max_response_bytes=100_000) == [Service("s1", "one")]


def test_a_body_one_byte_beyond_the_limit_is_refused(flavour: str) -> None:
    body = LISTED + b" " * (100_001 - len(LISTED))
    assert type(outcome(flavour, http(200, body), max_response_bytes=100_000)) is APIResponseValidationError


def test_a_huge_body_with_an_error_status_is_the_error_of_its_status(flavour: str) -> None:
    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(f"HTTP/1.1 503 Busy\r\nContent-Length: {50 * MIB}\r\n\r\n".encode())
        for _ in range(800):
            peer.send(b"<b>" * 20_000)
            await peer.drain()

    error = outcome(flavour, script)
    assert type(error) is InternalServerError
    assert len(str(error)) < 600


@pytest.mark.parametrize("script", [endless_head, flood_of_continues, millions_of_empty_lines])
def test_floods_before_the_response_are_bounded(script: Script) -> None:
    error, peak = peak_of(script, timeout=1)
    assert isinstance(error, APIConnectionError)
    assert peak < 10 * MIB


@pytest.mark.parametrize(
    "body",
    [
        b'{"success":true,"result":[' + b"1," * (500_000 * PART) + b"1]}",
        b'{"success":true,"result":[' + b"[]," * (312_500 * PART) + b"{}]}",
        b'{"success":false,"errors":[' + b'{"message":"x"},' * (62_500 * PART) + b"{}]}",
    ],
    ids=["wrong services", "empty arrays", "errors"],
)
def test_of_millions_of_problems_only_a_few_are_reported(body: bytes) -> None:
    error, peak = peak_of(answering(http(200, body), keep_open=False))
    assert isinstance(error, PagerDutyAlertingError)
    assert len(str(error)) < 2500
    # The parsed document takes this much; an exception for each problem would take ten times as much.
    assert peak < 50 * PART * MIB


def test_a_token_in_the_response_of_a_failed_create_is_not_in_the_error_message(flavour: str) -> None:
    for answer in (http(403, CREATED), http(201, CREATED.replace(b"true", b"1", 1)), http(201, b"[" + CREATED + b"]")):
        error = outcome(flavour, answer, "create_integration_token")
        assert isinstance(error, PagerDutyAlertingError)
        assert "token-made-by-the-server" not in str(error)


def test_a_page_that_repeats_the_request_does_not_show_its_token(flavour: str) -> None:
    page = f"<html>cannot GET /connect/{TOKEN_ID}</html>".encode()
    error = outcome(flavour, http(502, page), "connect")
    assert isinstance(error, InternalServerError)
    assert TOKEN_ID not in str(error)
