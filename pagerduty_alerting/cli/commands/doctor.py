"""`pagerduty-alerting doctor`: what stands between this machine and the API. It only reads."""

import asyncio
import email.utils
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

from attrs import frozen

from pagerduty_alerting import (
    APIStatusError,
    ConfigurationError,
    PagerDutyAlertingError,
    RateLimits,
    Response,
    RetryPolicy,
    Service,
)
from pagerduty_alerting._http.proxy import find_proxy
from pagerduty_alerting.cli.failures import DONE, NETWORK, REFUSED, USAGE, explanation, status_for
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.settings import (
    Settings,
    UsageError,
    find_account_id,
    find_base_url,
    find_credentials,
    find_timeout,
)
from pagerduty_alerting.cli.terminal import Stream, Terminal, milliseconds, printable
from pagerduty_alerting.config import ApiToken, Credentials

T = TypeVar("T")

LARGEST_SKEW = 60.0
CONNECT_TIMEOUT = 5.0

# Codes for credentials that are malformed, unknown or missing, whatever the status.
_WRONG_CREDENTIALS = frozenset({6003, 9103, 9106})
_AUTHENTICATION_ERROR = 10000
_NOT_ENTITLED = 17200


@frozen
class Finding:
    """What one check found.

    Attributes:
        name: What was checked.
        detail: What was found.
        status: The exit status that follows from it: 0 where all is well.
        advice: What to do about it.
    """

    name: str
    detail: str
    status: int = DONE
    advice: str = ""


def doctor(terminal: Terminal, options: Options, account_id: str | None) -> int:
    """Runs the command and returns its exit status: that of the first thing that is wrong."""
    out = terminal.out
    base_url = _find(out, "Base URL", lambda: find_base_url(options, os.environ), str)
    account = _find(out, "Account", lambda: find_account_id(account_id), str)
    timeout = _find(out, "Timeout", lambda: find_timeout(options), "{:g} s".format)
    credentials = _find(
        out, "Credentials", lambda: find_credentials(options, terminal.err, os.environ), described_credentials
    )
    if base_url is None or account is None or timeout is None or credentials is None:
        return USAGE
    settings = Settings(credentials, base_url, timeout)
    return asyncio.run(_examine(settings, account, out))


def show(finding: Finding, out: Stream) -> None:
    """Writes one finding as a line, and what to do about it as a second one."""
    mark = (out.ok, "green") if finding.status == DONE else (out.wrong, "bold red")
    out.paragraph(f"{finding.name}: {printable(finding.detail)}", lead=mark)
    if finding.advice:
        out.paragraph(f"{out.arrow} {printable(finding.advice)}", indent=2)


def described_credentials(credentials: Credentials) -> str:
    """Says what credentials are there without showing them; the length tells where they were cut."""
    hidden = f"<hidden>, {len(credentials.value)} characters"
    return f"API token {hidden}" if isinstance(credentials, ApiToken) else f"API key {hidden}, of {credentials.email}"


def _find(out: Stream, name: str, find: Callable[[], tuple[T, str]], describe: Callable[[T], str]) -> T | None:
    """Shows where a setting comes from, or what is wrong with it, and returns it."""
    try:
        value, source = find()
    except UsageError as error:
        show(Finding(name, "not usable", USAGE, str(error)), out)
        return None
    show(Finding(name, f"{describe(value)} ({source})"), out)
    return value


async def _examine(settings: Settings, account: str, out: Stream) -> int:
    status = DONE
    async for finding in look_at_network(settings.base_url):
        show(finding, out)
        status = status or finding.status
    if status == DONE:
        async for finding in look_at_api(settings, account):
            show(finding, out)
            status = status or finding.status
    return status


async def look_at_network(base_url: str) -> AsyncIterator[Finding]:
    """Yields what is found on the way to the host; what depends on a failure is left out."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        proxy = find_proxy(base_url)
    except ConfigurationError as error:
        yield Finding("Proxy", str(error), USAGE, "Correct it in the environment.")
        return
    if proxy is not None:
        yield Finding("Proxy", f"{proxy.url} (from the environment); name and TLS are looked at from there")
        return
    name = await look_up(host, port)
    yield name
    if name.status == DONE:
        yield await say_hello(host, port, with_tls=parts.scheme == "https")


async def look_up(host: str, port: int) -> Finding:
    """Resolves the host's name."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=6)
    except TimeoutError:
        return Finding("DNS", f"{host}: no answer within {CONNECT_TIMEOUT:g} s", NETWORK, "Is the network up?")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        return Finding("DNS", f"{host}: {reason}", NETWORK, "Is the network up, and the base URL right?")
    addresses = sorted({str(address[0]) for *_, address in found})
    return Finding("DNS", f"{host} is {', '.join(addresses)}" if addresses != [host] else "not needed for an address")


async def say_hello(host: str, port: int, *, with_tls: bool) -> Finding:
    """Makes a connection, with TLS where that is used, and closes it."""
    name, place = "TLS" if with_tls else "Connection", f"{host}, port {port}"
    context = ssl.create_default_context() if with_tls else None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except TimeoutError:
        advice = "Does a firewall stand in between, or is a proxy missing in the environment (HTTPS_PROXY)?"
        return Finding(name, f"{place}: no connection within {CONNECT_TIMEOUT:g} s", NETWORK, advice)
    except ssl.SSLCertVerificationError as error:
        advice = "Behind a private CA, name its certificate in the environment variable SSL_CERT_FILE."
        return Finding(name, f"{place}: the certificate is not trusted: {error.verify_message}", NETWORK, advice)
    except OSError as error:
        advice = "Is this the right host, and does anything listen there?"
        return Finding(name, f"{place}: {error.strerror or error}", NETWORK, advice)
    version = writer.get_extra_info("ssl_object").version() if with_tls else "no TLS, as nothing leaves this machine"
    writer.transport.abort()
    return Finding(name, f"{place}: {version}")


async def look_at_api(settings: Settings, account: str) -> AsyncIterator[Finding]:
    """Yields what one call tells."""
    async with settings.client(account, RetryPolicy(max_attempts=1)) as client:
        try:
            response = await client.with_response.list_services()
        except PagerDutyAlertingError as error:
            yield diagnose(error)
            return
    for finding in read(response, account, time.time()):
        yield finding


def diagnose(error: PagerDutyAlertingError) -> Finding:
    """Says what a failed call means."""
    name, detail = "API", "no usable answer"
    if isinstance(error, APIStatusError):
        codes = frozenset(error.codes)
        if _NOT_ENTITLED in codes:
            name, detail = "Plan", "the account's plan does not include PagerDuty"
        elif error.status == 401 or codes & _WRONG_CREDENTIALS:
            name, detail = "Authentication", "the API does not know these credentials"
        elif error.status == 403 or _AUTHENTICATION_ERROR in codes:
            name, detail = "Permission", "the credentials may not list the services of this account, or are not valid"
        elif error.status == 404:
            name, detail = "Account", "the API does not know it"
        elif error.status == 429:
            name, detail = "Rate limit", "used up"
        else:
            detail = f"it answered with status {error.status}"
    return Finding(name, detail, status_for(error), explanation(error))


def read(response: Response[list[Service]], account: str, now: float) -> Iterator[Finding]:
    """Yields what an answer tells; `now` is this machine's time, in seconds since 1970."""
    yield Finding("Authentication", f"the API knows the credentials; it answered in {milliseconds(response.elapsed)}")
    count = len(response.result)
    yield Finding(
        "Permission",
        f"may list the services of the account {account}, of which there {'is' if count == 1 else 'are'} {count}."
        " Whether it may connect and delete, only doing so would tell",
    )
    yield judge_quota(response.rate_limits)
    yield judge_clock(response.headers.get("Date"), now)


def judge_quota(limits: RateLimits) -> Finding:
    """Says how many requests are left."""
    if not limits.limits:
        return Finding("Rate limit", "the API did not say")
    quotas = {policy.name: policy.quota for policy in limits.policies}
    parts: list[str] = []
    for limit in limits.limits:
        of = f" of {quotas[limit.name]}" if limit.name in quotas else ""
        reset = "" if limit.reset_after is None else f", all again in {limit.reset_after:.0f} s"
        parts.append(f"{limit.remaining}{of} requests left{reset}")
    if all(limit.remaining for limit in limits.limits):
        return Finding("Rate limit", "; ".join(parts))
    return Finding("Rate limit", "; ".join(parts), REFUSED, "Wait: the next request may block all for five minutes.")


def judge_clock(date: str | None, now: float) -> Finding:
    """Compares this machine's clock with the answer's `Date`, which has whole seconds."""
    try:
        skew = now - email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Finding("Clock", "the API did not tell the time")
    if abs(skew) < LARGEST_SKEW:
        return Finding(
            "Clock", "right to within a few seconds" if abs(skew) < 5 else f"{abs(skew):.0f} s off, which is fine"
        )
    direction = "ahead of" if skew > 0 else "behind"
    advice = "Set the clock: certificates and waiting times are judged by it."
    return Finding("Clock", f"{abs(skew):.0f} s {direction} the API's", USAGE, advice)
