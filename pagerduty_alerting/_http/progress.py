"""What a call is doing, and with which connection, for the message of its failure; no I/O."""

from collections.abc import Callable

from yarl import URL

# The phases of a call, as `APITimeoutError.phase` names them.
HELD_BACK = "waiting for the rate limit"
QUEUED = "waiting for a free connection"
LIMITED = "waiting for the limiter"
CONNECTING = "connecting"
WAITING = "waiting for the response"
READING = "reading the response"
BACKING_OFF = "waiting to try again"

_SENT = frozenset({WAITING, READING})


class Progress:
    """The phase of a call, and the connection of its attempt."""

    phase: str = CONNECTING  # one of the constants above
    connect_timeout: float = 5.0  # seconds
    has_connection: bool = False  # the attempt has got its connection, in the client's own session
    proxy: tuple[str | None, int | None] | None = None  # host and port
    unresolved: str | None = None  # the host name that is being resolved
    connected: Callable[[], object] | None = None  # called when the connection is established
    url: URL = URL()  # the real one, for sessions whose hooks see it without the token

    @property
    def was_sent(self) -> bool:
        """Whether the request of the attempt can have reached the API."""
        return self.phase in _SENT

    def begin(self, url: URL, connect_timeout: float) -> None:
        """Begins an attempt; until it waits for a connection, its request counts as sent."""
        self.phase, self.url, self.connect_timeout = WAITING, url, connect_timeout
        self.has_connection, self.proxy, self.unresolved, self.connected = False, None, None, None

    def begin_connecting(self, proxy: URL | None) -> None:
        """Records that the attempt waits for a connection, so its request has not been sent."""
        self.phase = CONNECTING
        if proxy is not None:
            self.proxy = proxy.host, proxy.port

    def end_connecting(self) -> None:
        """Records that the request is about to be written."""
        self.phase = WAITING
        if self.connected is not None:
            self.connected()
