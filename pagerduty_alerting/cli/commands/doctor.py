"""`pagerduty-alerting doctor`: checks settings, network, credentials and quota without changing anything."""

import asyncio
import email.utils
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar
from urllib.parse import urlsplit

from attrs import Factory, define, frozen

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
from pagerduty_alerting._protocol.failures import meaning_of
from pagerduty_alerting.cli.failures import DONE, NETWORK, REFUSED, USAGE, explanation, status_for
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.output import milliseconds
from pagerduty_alerting.cli.settings import (
    ClientSettings,
    UsageError,
    find_account_id,
    find_base_url,
    find_credentials,
    find_settings,
    find_timeout,
)
from pagerduty_alerting.cli.terminal import Terminal, printable
from pagerduty_alerting.config import ApiToken, Credentials

T = TypeVar("T")

LARGEST_SKEW = 60.0
CONNECT_TIMEOUT = 5.0


@frozen
class Finding:
    """The finding of one check."""

    name: str  # the subject of the check
    detail: str
    status: int = DONE  # the exit status for it
    advice: str = ""  # how to correct it


@define
class Examination:
    """The findings so far; each is shown at once, except as JSON."""

    terminal: Terminal
    findings: list[Finding] = Factory(list[Finding])

    @property
    def status(self) -> int:
        """The exit status: that of the first failed check."""
        return next((finding.status for finding in self.findings if finding.status != DONE), DONE)

    def add(self, finding: Finding) -> None:
        """Shows a finding as a line, and its advice as a second line."""
        self.findings.append(finding)
        if self.terminal.as_json:
            return
        out = self.terminal.out
        mark = (out.ok, "green") if finding.status == DONE else (out.wrong, "bold red")
        out.paragraph(f"{finding.name}: {printable(finding.detail)}", lead=mark)
        if finding.advice:
            out.paragraph(f"{out.arrow} {printable(finding.advice)}", indent=2)

    def find(self, name: str, find: Callable[[], tuple[T, str]], describe: Callable[[T], str]) -> T | None:
        """Adds the finding for a setting, with its source or its error, and returns the setting."""
        try:
            value, source = find()
        except UsageError as error:
            self.add(Finding(name, "not usable", USAGE, str(error)))
            return None
        self.add(Finding(name, f"{describe(value)} ({source})"))
        return value


def doctor(terminal: Terminal, options: Options, account_id: str | None, *, wants_report: bool = False) -> int:
    """Runs the command and returns its exit status: that of the first failed check."""
    if wants_report:
        from pagerduty_alerting.cli.commands._report import report

        terminal.out.json(report(find_settings(options, terminal, [account_id])), indent=2)
        return DONE
    examination = Examination(terminal)
    base_url = examination.find("Base URL", lambda: find_base_url(options), str)
    account = examination.find("Account", lambda: find_account_id(account_id), str)
    timeout = examination.find("Timeout", lambda: find_timeout(options), "{:g} s".format)
    credentials = examination.find(
        "Credentials",
        lambda: find_credentials(options, terminal, may_ask=examination.status == DONE),
        described_credentials,
    )
    if base_url is not None and account is not None and timeout is not None and credentials is not None:
        asyncio.run(_examine(ClientSettings(credentials, base_url, timeout, (account,)), examination))
    status = examination.status
    if terminal.as_json:
        checks = [
            {"name": one.name, "ok": one.status == DONE, "detail": one.detail, "advice": one.advice or None}
            for one in examination.findings
        ]
        terminal.out.json({"ok": status == DONE, "checks": checks}, indent=2)
    return status


def described_credentials(credentials: Credentials) -> str:
    """Returns the kind and length of the credentials; a wrong length shows that they were cut."""
    hidden = f"<hidden>, {len(credentials.value)} characters"
    return f"API token {hidden}" if isinstance(credentials, ApiToken) else f"API key {hidden}, of {credentials.email}"


async def _examine(settings: ClientSettings, examination: Examination) -> None:
    async for finding in check_network(settings.base_url):
        examination.add(finding)
    if examination.status == DONE:
        async for finding in check_api(settings):
            examination.add(finding)


async def check_network(base_url: str) -> AsyncIterator[Finding]:
    """Yields the findings on the way to the host; checks after a failure are skipped."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        proxy = find_proxy(base_url)
    except ConfigurationError as error:
        yield Finding("Proxy", str(error), USAGE, "Correct it in the environment.")
        return
    if proxy is not None:
        yield Finding("Proxy", f"{proxy.url} (from the environment); DNS and TLS are not checked from here")
        return
    name = await check_dns(host, port)
    yield name
    if name.status == DONE:
        yield await check_connection(host, port, with_tls=parts.scheme == "https")


async def check_dns(host: str, port: int) -> Finding:
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


async def check_connection(host: str, port: int, *, with_tls: bool) -> Finding:
    """Opens a connection, with TLS if it is used, and closes it."""
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
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        return Finding(name, f"{place}: {reason}", NETWORK, advice)
    version = writer.get_extra_info("ssl_object").version() if with_tls else "no TLS, within this machine"
    writer.transport.abort()
    return Finding(name, f"{place}: {version}")


async def check_api(settings: ClientSettings) -> AsyncIterator[Finding]:
    """Yields the findings of one call."""
    async with settings.client(RetryPolicy(max_attempts=1)) as client:
        try:
            response = await client.with_response.list_services()
        except PagerDutyAlertingError as error:
            yield diagnose(error)
            return
    for finding in read(response, settings.account, time.time()):
        yield finding


def diagnose(error: PagerDutyAlertingError) -> Finding:
    """Returns the finding for a failed call, by the library's table of error codes."""
    if not isinstance(error, APIStatusError):
        return Finding("API", "no usable answer", status_for(error), explanation(error))
    meaning = meaning_of(error.status, error.errors or error.messages)
    return Finding(meaning.area, meaning.finding, status_for(error), explanation(error))


def read(response: Response[list[Service]], account: str, now: float) -> Iterator[Finding]:
    """Yields the findings in a response; `now` is this machine's time, in seconds since 1970."""
    yield Finding("Authentication", f"the credentials are valid; the API responded in {milliseconds(response.elapsed)}")
    count = len(response.result)
    yield Finding(
        "Permission",
        f"may list the services of the account {account}, of which there {'is' if count == 1 else 'are'} {count}."
        " Permission to connect and delete cannot be checked without doing so",
    )
    yield check_quota(response.rate_limits)
    yield check_clock(response.headers.get("Date"), now)


def check_quota(limits: RateLimits) -> Finding:
    """Returns the finding for the remaining quota."""
    if not limits.limits:
        return Finding("Rate limit", "not in the response")
    quotas = {policy.name: policy.quota for policy in limits.policies}
    parts: list[str] = []
    for limit in limits.limits:
        of = f" of {quotas[limit.name]}" if limit.name in quotas else ""
        reset = "" if limit.reset_after is None else f", reset in {limit.reset_after:.0f} s"
        parts.append(f"{limit.remaining}{of} requests left{reset}")
    if all(limit.remaining for limit in limits.limits):
        return Finding("Rate limit", "; ".join(parts))
    return Finding("Rate limit", "; ".join(parts), REFUSED, "Wait: the next request may block all for five minutes.")


def check_clock(date: str | None, now: float) -> Finding:
    """Returns the finding for this machine's clock, compared with the response's `Date`."""
    try:
        skew = now - email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Finding("Clock", "not checked: the response has no date")
    if abs(skew) < LARGEST_SKEW:
        return Finding(
            "Clock", "right to within a few seconds" if abs(skew) < 5 else f"{abs(skew):.0f} s off, which is fine"
        )
    direction = "ahead of" if skew > 0 else "behind"
    advice = "Set the clock: certificates and waiting times depend on it."
    return Finding("Clock", f"{abs(skew):.0f} s {direction} the API's", USAGE, advice)
