"""`pagerduty-alerting doctor`: what stands between this machine and the API. It only reads."""

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
from pagerduty_alerting.cli.output import milliseconds, write_json
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


@define
class Examination:
    """What was found so far; each finding is shown as it comes, except as JSON.

    Attributes:
        terminal: Where it is shown.
        findings: All findings.
    """

    terminal: Terminal
    findings: list[Finding] = Factory(list[Finding])

    @property
    def status(self) -> int:
        """The exit status: that of the first thing that is wrong."""
        return next((finding.status for finding in self.findings if finding.status != DONE), DONE)

    def add(self, finding: Finding) -> None:
        """Shows a finding as a line, and what to do about it as a second one."""
        self.findings.append(finding)
        if self.terminal.as_json:
            return
        out = self.terminal.out
        mark = (out.ok, "green") if finding.status == DONE else (out.wrong, "bold red")
        out.paragraph(f"{finding.name}: {printable(finding.detail)}", lead=mark)
        if finding.advice:
            out.paragraph(f"{out.arrow} {printable(finding.advice)}", indent=2)

    def find(self, name: str, find: Callable[[], tuple[T, str]], describe: Callable[[T], str]) -> T | None:
        """Adds where a setting comes from, or what is wrong with it, and returns it."""
        try:
            value, source = find()
        except UsageError as error:
            self.add(Finding(name, "not usable", USAGE, str(error)))
            return None
        self.add(Finding(name, f"{describe(value)} ({source})"))
        return value

    def write_json(self) -> None:
        """Writes all findings as one object."""
        checks = [
            {"name": one.name, "ok": one.status == DONE, "detail": one.detail, "advice": one.advice or None}
            for one in self.findings
        ]
        write_json(self.terminal.out, {"ok": self.status == DONE, "checks": checks}, indent=2)


def doctor(terminal: Terminal, options: Options, account_id: str | None, *, wants_report: bool = False) -> int:
    """Runs the command and returns its exit status: that of the first thing that is wrong."""
    if wants_report:
        from pagerduty_alerting.cli.commands._report import report

        write_json(terminal.out, report(find_settings(options, terminal, [account_id])), indent=2)
        return DONE
    examination = Examination(terminal)
    base_url = examination.find("Base URL", lambda: find_base_url(options, os.environ), str)
    account = examination.find("Account", lambda: find_account_id(account_id, os.environ), str)
    timeout = examination.find("Timeout", lambda: find_timeout(options), "{:g} s".format)
    credentials = examination.find(
        "Credentials",
        lambda: find_credentials(options, terminal, os.environ, may_ask=examination.status == DONE),
        described_credentials,
    )
    if base_url is not None and account is not None and timeout is not None and credentials is not None:
        asyncio.run(_examine(ClientSettings(credentials, base_url, timeout, (account,)), examination))
    if terminal.as_json:
        examination.write_json()
    return examination.status


def described_credentials(credentials: Credentials) -> str:
    """Says what credentials are there without showing them; the length tells where they were cut."""
    hidden = f"<hidden>, {len(credentials.value)} characters"
    return f"API token {hidden}" if isinstance(credentials, ApiToken) else f"API key {hidden}, of {credentials.email}"


async def _examine(settings: ClientSettings, examination: Examination) -> None:
    async for finding in look_at_network(settings.base_url):
        examination.add(finding)
    if examination.status == DONE:
        async for finding in look_at_api(settings):
            examination.add(finding)


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
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        return Finding(name, f"{place}: {reason}", NETWORK, advice)
    version = writer.get_extra_info("ssl_object").version() if with_tls else "no TLS, as nothing leaves this machine"
    writer.transport.abort()
    return Finding(name, f"{place}: {version}")


async def look_at_api(settings: ClientSettings) -> AsyncIterator[Finding]:
    """Yields what one call tells."""
    async with settings.client(RetryPolicy(max_attempts=1)) as client:
        try:
            response = await client.with_response.list_services()
        except PagerDutyAlertingError as error:
            yield diagnose(error)
            return
    for finding in read(response, settings.account, time.time()):
        yield finding


def diagnose(error: PagerDutyAlertingError) -> Finding:
    """Says what a failed call means: an error code by the library's own table."""
    if not isinstance(error, APIStatusError):
        return Finding("API", "no usable answer", status_for(error), explanation(error))
    meaning = meaning_of(error.status, error.errors or error.messages)
    return Finding(meaning.area, meaning.finding, status_for(error), explanation(error))


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
        reset = "" if limit.reset_after is None else f", reset in {limit.reset_after:.0f} s"
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
