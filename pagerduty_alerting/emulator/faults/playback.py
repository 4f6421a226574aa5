"""Carries faults out on a connection, writing raw bytes for what aiohttp cannot send."""

import asyncio
import contextlib
import http
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NoReturn, assert_never

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from pagerduty_alerting.emulator.faults import kinds
from pagerduty_alerting.emulator.rules.answers import JSON_HEADERS, Answer
from pagerduty_alerting.emulator.rules.contract import Headers
from pagerduty_alerting.emulator.server import to_response

_HEAD = b'{"result":[{"id":"00000000000000000000000000000000","name":"'
_TAIL = b'"}],"success":true,"errors":[],"messages":[]}'
_BLOCK = b"x" * 65536
_LINGER = struct.pack("ii", 1, 0)


class AlreadySent(web.StreamResponse):
    """A response of which aiohttp sends nothing, because it was sent already or never will be."""

    def __init__(self, *, keep_alive: bool = False) -> None:
        super().__init__()
        self._stays = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open."""
        return self._stays

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends no head."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends no end."""


async def play(
    fault: kinds.Fault, request: web.BaseRequest, answer: Answer, refuse: Callable[[float | None], None]
) -> web.StreamResponse:
    """Carries a fault out and returns the response for aiohttp.

    `answer` is the response without the fault; its body is empty if the operation was not carried out. `refuse` is
    described in `Dispatcher`.
    """
    match fault:
        case kinds.Respond():
            return to_response(Answer(fault.status, fault.body, _merged(answer.headers, fault.headers)))
        case kinds.Reset():
            _reset(request)
        case kinds.Refuse():
            _reset(request)
            refuse(fault.seconds)
        case kinds.Hang():
            await _forever()
        case kinds.Drip():
            await _drip(fault, request, answer)
            return AlreadySent(keep_alive=request.keep_alive)
        case kinds.Truncate():
            keep = len(answer.body) // 2 if fault.keep is None else fault.keep
            _write(request, _head(answer, len(answer.body), "close") + answer.body[:keep])
        case kinds.WrongLength():
            length = max(0, len(answer.body) + fault.by)
            _write(request, _head(answer, length, "keep-alive") + answer.body)
            if fault.by > 0:
                await _forever()
            return AlreadySent(keep_alive=True)
        case kinds.Huge():
            length = len(_HEAD) + len(_TAIL) + fault.size
            return await _stream(request, answer, _long_json(fault.size), length=length)
        case kinds.GzipBomb():
            return await _stream(request, answer, _compressed(fault.size), encoding="gzip")
        case _:
            assert_never(fault)
    return AlreadySent()


def _merged(standard: Headers, ordered: Headers) -> Headers:
    replaced = {name.lower() for name, _ in ordered}
    return (*((name, value) for name, value in standard if name.lower() not in replaced), *ordered)


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):  # the client may have closed the connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    transport.abort()


def _write(request: web.BaseRequest, data: bytes) -> None:
    transport = request.transport
    if transport is not None and not transport.is_closing():
        transport.write(data)


def _head(answer: Answer, length: int, connection: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    lines += [f"Content-Length: {length}", f"Connection: {connection}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _forever() -> NoReturn:
    while True:  # until the request is cancelled
        await asyncio.get_running_loop().create_future()


async def _drip(fault: kinds.Drip, request: web.BaseRequest, answer: Answer) -> None:
    connection = "keep-alive" if request.keep_alive else "close"
    _write(request, _head(answer, len(answer.body), connection))
    for start in range(0, len(answer.body), fault.size):
        await asyncio.sleep(fault.interval)
        _write(request, answer.body[start : start + fault.size])


async def _stream(
    request: web.BaseRequest,
    answer: Answer,
    blocks: Iterator[bytes],
    *,
    length: int | None = None,
    encoding: str | None = None,
) -> web.StreamResponse:
    response = web.StreamResponse(headers=_merged(answer.headers, JSON_HEADERS))
    response.content_length = length
    if encoding is not None:
        response.headers["Content-Encoding"] = encoding
    await response.prepare(request)
    for block in blocks:
        await response.write(block)
    return response


def _long_json(size: int) -> Iterator[bytes]:
    yield _HEAD
    for _ in range(size // len(_BLOCK)):
        yield _BLOCK
    yield _BLOCK[: size % len(_BLOCK)]
    yield _TAIL


def _compressed(size: int) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    for block in _long_json(size):
        if packed := packer.compress(block):
            yield packed
    yield packer.flush()
