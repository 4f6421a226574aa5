"""Every private name of a dependency that the package uses: its purpose, and what breaks without it.

A new version of aiohttp or Python may remove one without notice; then these tests fail first.
"""

import ast
import asyncio
import importlib
import inspect
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import client_proto, connector, http_parser, tracing
from attrs import frozen

import pagerduty_alerting


@frozen
class PrivateName:
    """One name.

    Attributes:
        is_there: Returns whether the dependency has it.
        purpose: What it is for.
        loss: What breaks without it.
    """

    is_there: Callable[[], bool]
    purpose: str
    loss: str


def takes(function: Callable[..., object], *names: str) -> bool:
    return list(inspect.signature(function).parameters)[1:] == list(names)


def without_c(attribute: str) -> bool:
    return f"self.{attribute}" in inspect.getsource(http_parser.HttpParser.__init__)


def in_source(of: object, text: str) -> bool:
    return text in inspect.getsource(of)  # type: ignore[arg-type]


NAMES = {
    "aiohttp.client_proto.ResponseHandler": PrivateName(
        lambda: hasattr(client_proto.ResponseHandler, "should_close"),
        "type of the protocol; `should_close` is true if data are unread",
        "stale responses: data from an idle connection become the next response",
    ),
    "aiohttp.connector.Connection": PrivateName(
        lambda: hasattr(connector.Connection, "protocol"),
        "type of a connection of a connector",
        "nothing can be imported",
    ),
    "aiohttp.tracing.Trace": PrivateName(
        lambda: hasattr(tracing, "Trace"), "type of a connector's argument", "nothing can be imported"
    ),
    "aiohttp BaseConnector.connect": PrivateName(
        lambda: takes(aiohttp.BaseConnector.connect, "req", "traces", "timeout"),
        "gives each attempt one connection",
        "a GET or DELETE is sent twice over connections that break; stale responses",
    ),
    "aiohttp TCPConnector._create_connection": PrivateName(
        lambda: takes(aiohttp.TCPConnector._create_connection, "req", "traces", "timeout"),
        "limits the name lookup, connecting, TLS and a proxy's response together",
        "connect_timeout does not cover the lookup and the proxy",
    ),
    "aiohttp TCPConnector._resolve_host": PrivateName(
        lambda: takes(aiohttp.TCPConnector._resolve_host, "host", "port", "traces"),
        "records the name that is being looked up",
        "a timeout does not say that it was the lookup",
    ),
    "aiohttp BaseConnector._conns": PrivateName(
        lambda: in_source(aiohttp.BaseConnector.__init__, "self._conns"),
        "the idle connections, each with the time of its release",
        "stale responses: data from an idle connection become the next response",
    ),
    "aiohttp ResponseHandler._parser": PrivateName(
        lambda: in_source(client_proto.ResponseHandler.set_response_params, "self._parser ="),
        "the parser of the previous response, whose `feed_eof` returns the start of a head",
        "the start of an unsolicited response is not detected",
    ),
    "aiohttp HttpParser._tail": PrivateName(
        lambda: without_c("_tail"), "the start of a line, in the parser without C", "as for `_parser`, without C"
    ),
    "aiohttp HttpParser._lines": PrivateName(
        lambda: without_c("_lines"), "the lines of a head, in the parser without C", "as for `_parser`, without C"
    ),
    "aiohttp ClientSession._middlewares": PrivateName(
        lambda: in_source(aiohttp.ClientSession.__init__, "self._middlewares"),
        "the middlewares of a caller's session, which those of a request replace",
        "the caller's middlewares do not run",
    ),
    "aiohttp ClientRequest._send": PrivateName(
        lambda: hasattr(aiohttp.ClientRequest, "_send") or hasattr(aiohttp.ClientRequest, "send"),
        "called when a request is about to be written (`send` in aiohttp 3)",
        "calls through a caller's session fail",
    ),
    "aiohttp ClientRequest._on_headers_request_sent": PrivateName(
        lambda: hasattr(aiohttp.ClientRequest, "_on_headers_request_sent"),
        "the last hook before a request is written, during which more data can arrive",
        "calls through a caller's session, or with trace_configs, fail",
    ),
    "aiohttp text: Session is closed": PrivateName(
        lambda: in_source(aiohttp.ClientSession._request, '"Session is closed"'),
        "recognizes a closed session of the caller",
        "APIConnectionError instead of ClientClosedError",
    ),
    "aiohttp text: Cannot combine AUTH": PrivateName(
        lambda: in_source(aiohttp.ClientSession._request, '"Cannot combine AUTHORIZATION header'),
        "recognizes a session with its own credentials",
        "APIConnectionError instead of ConfigurationError",
    ),
    "aiohttp text: content-encoding": PrivateName(
        lambda: in_source(http_parser.DeflateBuffer, "content-encoding"),
        "recognizes a body that cannot be decompressed",
        "the message says that the response is incomplete",
    ),
    "asyncio._get_running_loop": PrivateName(
        lambda: hasattr(asyncio, "_get_running_loop"),
        "the running loop or None, without an exception",
        "no synchronous call can be made",
    ),
    "asyncio BaseSelectorEventLoop._make_self_pipe": PrivateName(
        lambda: in_source(asyncio.SelectorEventLoop.__mro__[1], "socket.socketpair()"),
        "makes the sockets that wake a loop of native ones in programs patched by gevent or eventlet",
        "synchronous calls fail in patched programs, or each of their native threads has a hub",
    ),
    "asyncio _SSLProtocolTransport._ssl_protocol": PrivateName(
        lambda: in_source(asyncio.sslproto._SSLProtocolTransport, "self._ssl_protocol ="),
        "the protocol of a connection with TLS",
        "as for `_incoming`",
    ),
    "asyncio SSLProtocol._incoming": PrivateName(
        lambda: in_source(asyncio.sslproto.SSLProtocol, "self._incoming.write(self._ssl_buffer_view[:nbytes])"),
        "takes the encrypted data of a connection, whose records can be followed there",
        "a part of a TLS record that arrives on an idle connection begins the next response",
    ),
    "asyncio SSLProtocol._transport": PrivateName(
        lambda: in_source(asyncio.sslproto.SSLProtocol.connection_made, "self._transport = transport"),
        "the connection below TLS, which uses TLS itself where the proxy does",
        "as for `_incoming`, through an https:// proxy",
    ),
    "asyncio _SelectorSocketTransport.max_size": PrivateName(
        lambda: in_source(asyncio.selector_events._SelectorSocketTransport, "self._sock.recv(self.max_size)"),
        "the bytes to allocate for a response",
        "calls without TLS take up to a quarter longer, depending on where the memory is allocated",
    ),
    "asyncio.Handle._run": PrivateName(
        lambda: in_source(asyncio.Handle._run, "self._context.run(self._callback, *self._args)"),
        "the function in whose first line an asynchronous exception prevents a callback",
        "the synchronous call of another thread may lose its wake-up, and never end",
    ),
    "asyncio.unix_events._sighandler_noop": PrivateName(
        lambda: sys.platform == "win32" or hasattr(importlib.import_module("asyncio.unix_events"), "_sighandler_noop"),
        "recognizes asyncio's own signal handler, which does nothing and is not replaced during a call",
        "it is set again after a call, which removes its SA_RESTART",
    ),
    "signal._signal": PrivateName(
        lambda: hasattr(signal, "_signal"),
        "the C functions below `signal`, which do not convert handlers to enum members",
        "a synchronous call of the main thread takes four per cent longer",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_dependency_still_has_the_name(name: str) -> None:
    known = NAMES[name]
    assert known.is_there(), f"{name} is gone ({known.purpose}): {known.loss}"


def _read_names(tree: ast.AST) -> Iterator[str]:
    """Yields the private names that a file reads from anything but `self`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name) if name.startswith("_") and not name.startswith("__"):
                yield name
            case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(name)), *_]):
                if name.startswith("_") and not name.startswith("__"):
                    yield name


def _defined_names(tree: ast.AST) -> Iterator[str]:
    """Yields the private names that a file defines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name


def test_every_private_name_that_is_used_is_listed_here() -> None:
    package = Path(pagerduty_alerting.__file__).parent
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in {"emulator", "cli", "_generate.py"}
    ]
    used = {name for tree in trees for name in _read_names(tree)} - {
        name for tree in trees for name in _defined_names(tree)
    }

    assert used <= {name.rpartition(".")[2] for name in NAMES}


def test_private_names_of_aiohttp_are_used_in_one_file() -> None:
    package = Path(pagerduty_alerting.__file__).parent
    names = {name.rpartition(".")[2] for name in NAMES if name.startswith("aiohttp ") and "._" in name}
    reaching = {
        path.name
        for path in (package / "_http").glob("*.py")
        if names & set(_read_names(ast.parse(path.read_text(encoding="utf-8"))))
    }

    assert reaching == {"connector.py"}
