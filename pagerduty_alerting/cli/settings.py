"""Finds the settings of a client in options, files and environment, or asks for them; reports their source."""

import codecs
import contextlib
import functools
import getpass
import math
import os
import shlex
import stat
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from attrs import frozen

from pagerduty_alerting import AsyncClient, RetryPolicy
from pagerduty_alerting import _arguments as arguments
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.terminal import Terminal, printable
from pagerduty_alerting.config import (
    ApiKey,
    ApiToken,
    Credentials,
    resolve_account_id,
    resolve_base_url,
    resolve_credentials,
)
from pagerduty_alerting.errors import ConfigurationError

if TYPE_CHECKING:
    import aiohttp

LONGEST_TOKEN_FILE = 64 * 1024
DEFAULT_TIMEOUT = 30.0
TOKEN, KEY, EMAIL = _CREDENTIAL_VARIABLES = ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL")
_NO_CREDENTIALS = (
    "There are no credentials: set CLOUDFLARE_API_TOKEN (or CLOUDFLARE_API_KEY with CLOUDFLARE_EMAIL), or pass"
    " --api-token-file=FILE. Create tokens in Cloudflare's dashboard under My Profile, API Tokens, or under Manage"
    " Account, Account API Tokens. To connect and delete they need the permission Notifications Write (or Account"
    " Settings Write); to list, Notifications Read is enough."
)
_ADVICE_IN_PYTHON = {
    "the connect_timeout of ": "",
    "pass ssl_context=…": "name it in the environment variable SSL_CERT_FILE",
    ", or set allow_insecure_http=True": "",
}

T = TypeVar("T")


class UsageError(Exception):
    """The arguments or settings are wrong; nothing was sent."""


@frozen
class ClientSettings:
    """The validated settings of a client."""

    credentials: Credentials
    base_url: str
    timeout: float  # seconds for each call
    accounts: tuple[str, ...] = ()  # in the order given

    @property
    def account(self) -> str:
        """The account of a command for one account."""
        return self.accounts[0]

    def client(
        self, retry: RetryPolicy | None = None, trace_configs: "Sequence[aiohttp.TraceConfig]" = ()
    ) -> AsyncClient:
        """Returns a new client; with exactly one account, it is the client's default."""
        token = self.credentials.value if isinstance(self.credentials, ApiToken) else None
        key = self.credentials if isinstance(self.credentials, ApiKey) else None
        return AsyncClient(
            api_token=token,
            api_key=None if key is None else key.value,
            api_email=None if key is None else key.email,
            account_id=self.account if len(self.accounts) == 1 else None,
            base_url=self.base_url,
            timeout=self.timeout,
            retry=retry,
            trace_configs=trace_configs,
        )


def find_settings(options: Options, terminal: Terminal, accounts: Sequence[str | None] = ()) -> ClientSettings:
    """Returns the settings; without credentials, asks for a token on a terminal.

    In `accounts`, None stands for the account in the environment. The text of the `UsageError` for missing and invalid
    settings lists all of them, and how to correct them.
    """
    problems: list[str] = []

    def found(find: Callable[[], tuple[T, str]]) -> T | None:
        try:
            return find()[0]
        except UsageError as error:
            problems.append(str(error))
            return None

    base_url = found(lambda: find_base_url(options))
    timeout = found(lambda: find_timeout(options))
    ids = [found(functools.partial(find_account_id, account)) for account in accounts]
    # No prompt for a token if other settings are wrong.
    credentials = found(lambda: find_credentials(options, terminal, may_ask=not problems))
    if base_url is None or timeout is None or credentials is None or problems:
        raise UsageError(" ".join(problems))
    return ClientSettings(credentials, base_url, timeout, tuple(filter(None, ids)))


@contextlib.contextmanager
def usage_errors() -> Generator[None]:
    """Turns exceptions of the library for wrong settings and arguments into `UsageError`."""
    try:
        yield
    except (ConfigurationError, ValueError) as error:
        raise UsageError(as_sentence(error)) from None


@usage_errors()
def find_base_url(options: Options) -> tuple[str, str]:
    """Returns the base URL and its source."""
    if options.base_url is not None:
        found = arguments.check_base_url("--base-url", options.base_url, allow_insecure_http=False)
        return found, "from --base-url"
    found = resolve_base_url(os.environ, None, allow_insecure_http=False)
    return found, "from CLOUDFLARE_BASE_URL" if os.environ.get("CLOUDFLARE_BASE_URL") else "Cloudflare's own"


def find_timeout(options: Options) -> tuple[float, str]:
    """Returns the seconds for each call and their source."""
    if options.timeout is None:
        return DEFAULT_TIMEOUT, "the default"
    if not (math.isfinite(options.timeout) and options.timeout > 0):
        raise UsageError("--timeout must be longer than zero.")
    return options.timeout, "from --timeout"


@usage_errors()
def find_account_id(account_id: str | None) -> tuple[str, str]:
    """Returns the account and its source, or raises `UsageError` if there is none or it is invalid."""
    if account_id is not None:
        arguments.check_identifier("--account-id", account_id)
        return account_id, "from --account-id"
    found = resolve_account_id(os.environ, None)
    if found is None:
        raise UsageError(
            "There is no account: set CLOUDFLARE_ACCOUNT_ID, or pass --account-id=ID."
            " The id is on the account's overview page in Cloudflare's dashboard."
        )
    return found, "from CLOUDFLARE_ACCOUNT_ID"


@usage_errors()
def find_credentials(options: Options, terminal: Terminal, *, may_ask: bool) -> tuple[Credentials, str]:
    """Returns the credentials and their source, or raises `UsageError`; with `may_ask`, asks for a token."""
    if options.api_token_file is not None:
        token = read_token(options.api_token_file, terminal)
        return ApiToken(arguments.check_secret("the API token in --api-token-file", token)), "from --api-token-file"
    given = {variable for variable in _CREDENTIAL_VARIABLES if os.environ.get(variable)}
    if not given:
        typed = ask("Cloudflare API token (it is not shown): ") if may_ask else None
        if typed is None:
            raise UsageError(_NO_CREDENTIALS)
        return ApiToken(arguments.check_secret("the API token", typed)), "as typed"
    if len(given) == 1 and TOKEN not in given:
        (half,) = given
        raise UsageError(
            f"{half} is set without {KEY if half == EMAIL else EMAIL}: set both, or CLOUDFLARE_API_TOKEN alone."
        )
    found = resolve_credentials(os.environ, api_token=None, api_key=None, api_email=None)
    if isinstance(found, ApiToken):
        return found, "from CLOUDFLARE_API_TOKEN"
    return found, "from CLOUDFLARE_API_KEY and CLOUDFLARE_EMAIL"


def as_sentence(error: Exception) -> str:
    """Returns a message of the library as a sentence, without advice for programmers."""
    text = for_terminals(str(error))
    return f"{text[0].upper()}{text[1:]}." if text[0].isalpha() else f"{text}."


def for_terminals(text: str) -> str:
    """Returns a message of the library with its advice for programmers replaced or removed."""
    for in_python, at_terminal in _ADVICE_IN_PYTHON.items():
        text = text.replace(in_python, at_terminal)
    return text


def ask(question: str) -> str | None:
    """Asks for a secret without showing it; returns None without a terminal."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    try:
        return getpass.getpass(question).strip()
    except EOFError:
        print(file=sys.stderr)  # the cursor is still on the line of the question
        return None


def standard_input() -> TextIO:
    """Returns standard input, or raises `UsageError` if it is closed."""
    if sys.stdin is None:
        raise UsageError("Standard input is closed, so nothing can be read from it; nothing was sent.")
    return sys.stdin


def read_token(file: str, terminal: Terminal) -> str:
    """Returns the token in a file, or raises `UsageError` for one without; warns if all users can read the file."""
    try:
        if file == "-":
            content = standard_input().buffer.read(LONGEST_TOKEN_FILE + 1)
        else:
            with Path(file).open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                if os.name == "posix" and stat.S_ISREG(mode) and mode & stat.S_IROTH:
                    advice = f"`{shlex.join(['chmod', '600', file])}` changes that."
                    terminal.warn(f"everybody on this machine can read {printable(file)}. {advice}")
                content = opened.read(LONGEST_TOKEN_FILE + 1)
        token = content.removeprefix(codecs.BOM_UTF8).decode("ascii").strip()
    except OSError as error:
        raise UsageError(f"The file {file} of --api-token-file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"The file {file} of --api-token-file holds something other than an API token.") from None
    if not token or len(content) > LONGEST_TOKEN_FILE:
        what = "is empty" if not token else "is too long for an API token"
        raise UsageError(f"The file {file} of --api-token-file {what}.")
    return token
