"""`pagerduty-alerting connect`: the whole flow, from a new token to the list of connected services."""

import asyncio
import contextlib
import os
import shlex
from collections.abc import Callable, Generator, Sequence
from urllib.parse import quote, urlsplit

from attrs import asdict, define, evolve, field, frozen
from rich.spinner import Spinner
from rich.text import Text

from pagerduty_alerting import APIStatusError, AsyncClient, IntegrationToken, PagerDutyAlertingError, Service
from pagerduty_alerting import _arguments as arguments
from pagerduty_alerting.cli.commands._waiting import NextStep, client_error, next_step, next_wait
from pagerduty_alerting.cli.failures import DONE, FailedError, NoAnswerError, Stopped, explanation
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.output import clock_time, counted, duration_in_words, show_services
from pagerduty_alerting.cli.settings import UsageError, ask, find_settings, standard_input, usage_errors
from pagerduty_alerting.cli.terminal import Stream, Terminal, printable

AUTHORIZE_URL_VARIABLE = "PAGERDUTY_ALERTING_AUTHORIZE_URL"
PLACEHOLDER = "{token}"
STDIN = "-"
MIN_POLL_INTERVAL = 0.1


@frozen(kw_only=True)
class ConnectOptions:
    """The options of the command, which its help describes; durations are in seconds."""

    account_id: str | None
    token_id: str | None = field(repr=False)
    wait: bool | None
    wait_timeout: float
    poll_interval: float
    authorize_url: str | None
    dry_run: bool

    @property
    def waits(self) -> bool:
        """Whether to wait; by default only for a new token."""
        return self.token_id is None if self.wait is None else self.wait


def connect(terminal: Terminal, options: Options, given: ConnectOptions) -> int:
    """Runs the command and returns its exit status."""
    given = evolve(given, authorize_url=given.authorize_url or os.environ.get(AUTHORIZE_URL_VARIABLE) or None)
    if given.authorize_url is not None:
        check_template(given.authorize_url)
    if given.poll_interval < MIN_POLL_INTERVAL:
        raise UsageError("--poll-interval must be at least 100ms.")
    if given.token_id == STDIN and options.api_token_file == STDIN:
        raise UsageError("Only one of TOKEN_ID and --api-token-file can be read from standard input.")
    settings = find_settings(options, terminal, [given.account_id])
    token = None if given.token_id is None else given_token(given.token_id)
    again = {"account-id": given.account_id, "base-url": options.base_url, "api-token-file": options.api_token_file}
    resume_options = [f"--{name}={value}" for name, value in again.items() if value is not None]
    resumption = shlex.join(["pagerduty-alerting", "connect", STDIN, *resume_options])
    flow = Flow(terminal, given, settings.account, resumption, token)
    try:
        return asyncio.run(flow.run(settings.client()))
    except KeyboardInterrupt:
        terminal.err.end_line()
        raise flow.stopped() from None


@define
class Flow:
    """The steps of the command and their progress, which the messages of an early end need."""

    terminal: Terminal
    given: ConnectOptions
    account: str
    resumption: str  # the command that goes on later; the token is a secret, so it is not an argument
    token: IntegrationToken | None = None  # once it exists
    in_progress: str | None = None  # what the API may be carrying out, "create" or "connect"

    async def run(self, client: AsyncClient) -> int:
        """Runs all steps and returns the exit status."""
        async with client:
            # First, to detect wrong credentials before a secret is created, and to compare with later.
            before = await client.list_services()
            if self.given.dry_run:
                self._show_plan(before)
                return DONE
            if self.token is None:
                self.token = await self._create(client)
                self._show_instructions(self.token)
                if not self.given.waits:
                    self._print_token(self.token)
                    return DONE
            await self._connect(client, self.token, before)
            await self._show_connected(client)
        return DONE

    def stopped(self) -> Stopped:
        """Returns the error for Ctrl-C: what was done, and how to go on."""
        match self.in_progress, self.token:
            case "create", _:
                return Stopped(f"Stopped. {_UNKNOWN_TOKEN}")
            case "connect", _:
                return Stopped(
                    "Stopped during the request to connect, which may have been carried out. Run"
                    " `pagerduty-alerting services list` to check; if it was not, go on with:",
                    self.resumption,
                )
            case _, None:
                return Stopped("Stopped. Nothing was changed.")
            case _:
                return Stopped(
                    f"Stopped. When the token is authorized in PagerDuty, go on with{_THE_TOKEN}:", self.resumption
                )

    async def _create(self, client: AsyncClient) -> IntegrationToken:
        self.in_progress = "create"
        try:
            token = await client.create_integration_token()
        except PagerDutyAlertingError as error:
            if next_step(error, None, is_new=True) is NextStep.CHECK:
                raise FailedError(_UNKNOWN_TOKEN) from error
            raise
        self.in_progress = None
        return token

    async def _connect(self, client: AsyncClient, token: IntegrationToken, before: Sequence[Service]) -> None:
        """Connects; with `waits`, retries until the token is authorized."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.given.wait_timeout
        not_yet = None
        with _progress(self.terminal.err, lambda: deadline - clock(), shown=self.given.waits) as say:
            while True:
                failure = await self._try_to_connect(client, token)
                if failure is None:
                    return
                step = next_step(failure, not_yet, is_new=self.given.token_id is None)
                if step is NextStep.CHECK:
                    await self._check_connected(client, failure, before)
                    return
                if step is NextStep.FAIL or not self.given.waits:
                    raise self._refused(failure) from failure
                not_yet = not_yet or client_error(failure)
                pause, left = next_wait(failure, self.given.poll_interval), deadline - clock()
                if left <= 0 or (pause > left and pause > self.given.poll_interval):
                    raise NoAnswerError(
                        f"The token was not authorized in PagerDuty in time. {_reason(failure)}"
                        f" As long as it is valid, go on with{_THE_TOKEN}:",
                        self.resumption,
                    )
                say(_reason(failure))
                await asyncio.sleep(min(pause, left))

    async def _try_to_connect(self, client: AsyncClient, token: IntegrationToken) -> PagerDutyAlertingError | None:
        """Sends *connect* once and returns its exception, or None.

        The end of the wait does not shorten the call's own timeout, because its outcome would be unknown.
        """
        self.in_progress, failure = "connect", None
        try:
            await client.connect(token)
        except PagerDutyAlertingError as error:
            failure = error
        self.in_progress = None
        return failure

    async def _check_connected(
        self, client: AsyncClient, failure: PagerDutyAlertingError, before: Sequence[Service]
    ) -> None:
        """Returns if there are new services after a *connect* of unknown outcome, else raises `FailedError`."""
        go_on = (
            f"Run `pagerduty-alerting services list` later, and if PagerDuty is not connected, go on with{_THE_TOKEN}:"
        )
        try:
            services = await client.list_services()
        except PagerDutyAlertingError:
            raise FailedError(go_on, self.resumption) from failure
        if {service.id for service in services} <= {service.id for service in before}:
            raise FailedError(f"There is no new service so far. {go_on}", self.resumption) from failure
        self.terminal.warn(f"{explanation(failure)} But there are new services, so PagerDuty is connected.")

    async def _show_connected(self, client: AsyncClient) -> None:
        """Shows the connected services; a failure to list them is only a warning."""
        err = self.terminal.err
        if not self.terminal.as_json:
            err.line((f"{err.ok} PagerDuty is connected.", "green"))
        try:
            services = await client.list_services()
        except PagerDutyAlertingError as error:
            self.terminal.warn(f"PagerDuty is connected, but the services cannot be listed. {explanation(error)}")
            services = None
        if self.terminal.as_json:
            self._write_json(connected=True, services=None if services is None else list(map(asdict, services)))
        elif services is not None:
            show_services(self.terminal.out, [(self.account, service) for service in services])

    def _show_plan(self, before: Sequence[Service]) -> None:
        """Shows what would be done."""
        steps = [f"connect PagerDuty with the account {printable(self.account)}"]
        if self.given.waits:
            steps.insert(0, f"wait up to {duration_in_words(self.given.wait_timeout)} until the token is authorized")
        if self.token is None and self.given.waits:
            steps.insert(0, "create an integration token")
        elif self.token is None:
            steps = [f"create and print an integration token for the account {printable(self.account)}"]
        if self.terminal.as_json:
            self._write_json(connected=False, would=steps, services=list(map(asdict, before)))
            return
        *first, last = steps
        would = f"{', '.join(first)}, and {last}" if first else last
        connected = counted(len(before), "PagerDuty service")
        self.terminal.out.paragraph(f"Would {would}. It has {connected} now. Nothing was changed.")

    def _show_instructions(self, token: IntegrationToken) -> None:
        """Shows what to do in PagerDuty, and the token unless it is printed to stdout."""
        err, template = self.terminal.err, self.given.authorize_url
        if self.given.waits:
            err.line("Integration token (a secret, shown only here):")
            err.line("  ", (printable(token.id), "bold"))
        if template is None:
            err.paragraph(
                "A person authorizes it in PagerDuty: log in, choose the services that Cloudflare may notify, confirm."
            )
            err.paragraph(_WHERE_IT_IS_FOUND)
        else:
            err.paragraph("Authorize it in PagerDuty: open this page, log in, choose the services, confirm.")
            err.line((link(template, token), "underline"))

    def _print_token(self, token: IntegrationToken) -> None:
        """Prints the token and the command that goes on with it."""
        template = self.given.authorize_url
        if self.terminal.as_json:
            url = None if template is None else link(template, token)
            self._write_json(connected=False, token=token.id, authorize_url=url, next_command=self.resumption)
            return
        self.terminal.err.paragraph(f"Then finish with{_THE_TOKEN}:")
        self.terminal.err.line(f"  {printable(self.resumption)}")
        self.terminal.out.line(printable(token.id))

    def _write_json(self, **fields: object) -> None:
        self.terminal.out.json({"account_id": self.account, **fields}, indent=2)

    def _refused(self, failure: PagerDutyAlertingError) -> FailedError:
        """Returns the error for a failure that changed nothing, with advice."""
        if not isinstance(failure, APIStatusError):
            return FailedError(f"Then go on with{_THE_TOKEN}:", self.resumption)
        if failure.status in {401, 403}:
            return FailedError("")
        return FailedError(
            "If it is used or has expired, run `pagerduty-alerting connect` for a new one. Once the token is authorized"
            f" in PagerDuty, try again with{_THE_TOKEN}:",
            self.resumption,
        )


_THE_TOKEN = " this command, which asks for the token"
_WHERE_IT_IS_FOUND = (
    "Cloudflare publishes no address for this page. In its dashboard the same step is under Notifications,"
    " Destinations, Connected notification services, Connect. If you know the page, set"
    f" {AUTHORIZE_URL_VARIABLE} to its address, with {PLACEHOLDER} for the token, to show a link here."
)
_UNKNOWN_TOKEN = (
    "A token may have been created but not received. It has no effect by itself: run the command again for a new one."
)


def given_token(token_id: str) -> IntegrationToken:
    """Returns the token argument, or for `-` reads it from standard input."""
    name = "TOKEN_ID"
    if token_id == STDIN:
        name = "the integration token"
        typed = ask("Integration token (it is not shown): ")
        token_id = standard_input().readline().strip() if typed is None else typed
    with usage_errors():
        arguments.check_identifier(name, token_id)
    return IntegrationToken(token_id)


def check_template(template: str) -> None:
    """Raises `UsageError` for a template that has no placeholder for the token, or is not a web address."""
    try:
        parts = urlsplit(template)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"https", "http"} or not parts.hostname or not template.isprintable() or " " in template:
        raise UsageError("--authorize-url must be an https:// address without spaces.")
    if PLACEHOLDER not in template:
        raise UsageError(f"--authorize-url must contain {PLACEHOLDER} for the token.")


def link(template: str, token: IntegrationToken) -> str:
    """Returns the address of the page where a token is authorized."""
    return template.replace(PLACEHOLDER, quote(token.id, safe=""))


def _reason(failure: PagerDutyAlertingError) -> str:
    """Returns the reason for waiting: the API's message, if there is one."""
    if isinstance(failure, APIStatusError) and failure.errors:
        return f"The API says: {printable(' '.join(failure.errors[0].message.split()))[:200]}."
    return explanation(failure)


@contextlib.contextmanager
def _progress(err: Stream, left: Callable[[], float], *, shown: bool) -> Generator[Callable[[str], None]]:
    """Shows the time left and a text on a terminal, and yields a function that sets the text."""
    reason = ""

    def say(text: str) -> None:
        nonlocal reason
        reason = text

    if not shown:
        yield say
        return
    if not err.is_terminal or err.console.is_dumb_terminal:
        err.paragraph(f"Waiting up to {duration_in_words(round(left()))} for it. Ctrl-C stops waiting.")
        yield say
        return
    spinner = Spinner("dots" if err.is_unicode else "line")

    def now() -> Spinner:
        spinner.update(text=Text(f"Waiting for it, {clock_time(left())} left. Ctrl-C stops waiting. {reason}"))
        return spinner

    with err.live(now):
        yield say
