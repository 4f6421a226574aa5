"""`pagerduty-alerting connect`: the whole flow for a person, from a new token to the list of what is connected."""

import asyncio
import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Generator, Sequence
from urllib.parse import quote, urlsplit

from attrs import define, evolve, field, frozen
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from pagerduty_alerting import APIStatusError, AsyncClient, IntegrationToken, PagerDutyAlertingError, Service
from pagerduty_alerting import _arguments as arguments
from pagerduty_alerting.cli.commands._waiting import Meaning, meaning_of, next_wait, refusal_in, time_left
from pagerduty_alerting.cli.commands.services import Row, show_services
from pagerduty_alerting.cli.failures import DONE, FailedError, Stopped, TookTooLongError, explanation
from pagerduty_alerting.cli.options import Options
from pagerduty_alerting.cli.settings import UsageError, ask, find_account_id, find_settings
from pagerduty_alerting.cli.terminal import Stream, Terminal, printable

AUTHORIZE_URL_VARIABLE = "PAGERDUTY_ALERTING_AUTHORIZE_URL"
PLACEHOLDER = "{token}"
UNSEEN = "-"
SHORTEST_POLL_INTERVAL = 0.1


@frozen(kw_only=True)
class Wishes:
    """What was asked for. Meanings are those of the options.

    Attributes:
        token_id: Finish with this token; None for a new one.
        wait: Whether to wait until it is authorised; None where that was not said.
        wait_timeout: Seconds to wait at most.
        poll_interval: Seconds between two attempts to connect.
        authorize_url: The page where tokens are authorised, with a place for the token.
        dry_run: Whether to change nothing.
    """

    token_id: str | None = field(repr=False)
    wait: bool | None
    wait_timeout: float
    poll_interval: float
    authorize_url: str | None
    dry_run: bool

    @property
    def waits(self) -> bool:
        """Whether to wait: for a new token yes, and for one of before only where that was said."""
        return self.token_id is None if self.wait is None else self.wait


def connect(terminal: Terminal, options: Options, account_id: str | None, wishes: Wishes) -> int:
    """Runs the command and returns its exit status."""
    account, _ = find_account_id(account_id)
    wishes = evolve(wishes, authorize_url=wishes.authorize_url or os.environ.get(AUTHORIZE_URL_VARIABLE) or None)
    if wishes.authorize_url is not None:
        check_template(wishes.authorize_url)
    if wishes.poll_interval < SHORTEST_POLL_INTERVAL:
        raise UsageError("--poll-interval must be at least 100ms.")
    if wishes.token_id == UNSEEN and options.api_token_file == UNSEEN:
        raise UsageError("Only one of TOKEN_ID and --api-token-file can be read from standard input.")
    settings = find_settings(options, terminal.err)
    token = None if wishes.token_id is None else given_token(wishes.token_id)
    again = [*_given("--account-id", account_id), *_given("--base-url", options.base_url)]
    again += _given("--api-token-file", options.api_token_file)
    flow = Flow(terminal, wishes, account, again, token)
    try:
        return asyncio.run(flow.run(settings.client(account)))
    except KeyboardInterrupt:
        terminal.err.end_line()
        raise Stopped(flow.parting_words()) from None


@define
class Flow:
    """The steps of the command, and how far they have come, for what is said when they end early.

    Attributes:
        terminal: Where a person follows them.
        wishes: What was asked for.
        account: The account to connect.
        again: The options to give again to go on later.
        token: The token, once there is one.
        under_way: The operation that the API is carrying out perhaps, "create" or "connect".
    """

    terminal: Terminal
    wishes: Wishes
    account: str
    again: list[str]
    token: IntegrationToken | None = None
    under_way: str | None = None

    async def run(self, client: AsyncClient) -> int:
        """Takes all steps and returns the exit status."""
        async with client:
            # Asked first, so that wrong credentials show before a secret is made, and to compare with later.
            before = await client.list_services()
            if self.wishes.dry_run:
                self._rehearse(before)
                return DONE
            if self.token is None:
                self.token = await self._create(client)
                self._instruct(self.token)
                if not self.wishes.waits:
                    self.terminal.out.line(printable(self.token.id))
                    return DONE
            await self._connect(client, self.token, before)
            await self._show_connected(client)
        return DONE

    def parting_words(self) -> str:
        """Returns how things stand after Ctrl-C, and how to go on."""
        match self.under_way, self.token:
            case "create", _:
                return f"Stopped. {_UNKNOWN_TOKEN}"
            case "connect", _:
                return (
                    "Stopped while the API was being asked to connect. Whether it did is what"
                    f" `pagerduty-alerting services list` shows; if not, go on with {self._resumption()}."
                )
            case _, None:
                return "Stopped. Nothing was changed."
            case _:
                return f"Stopped. When the token is authorised in PagerDuty, go on with {self._resumption()}."

    async def _create(self, client: AsyncClient) -> IntegrationToken:
        self.under_way = "create"
        try:
            token = await client.create_integration_token()
        except PagerDutyAlertingError as error:
            if meaning_of(error, None, is_new=True) is Meaning.UNKNOWN:
                raise FailedError(_UNKNOWN_TOKEN) from error
            raise
        self.under_way = None
        return token

    async def _connect(self, client: AsyncClient, token: IntegrationToken, before: Sequence[Service]) -> None:
        """Connects, as soon as the token is authorised if that is to be waited for."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.wishes.wait_timeout
        not_yet = None
        with _progress(self.terminal.err, lambda: deadline - clock(), shown=self.wishes.waits) as say:
            while True:
                failure = await self._try_to_connect(client, token)
                if failure is None:
                    return
                meaning = meaning_of(failure, not_yet, is_new=self.wishes.token_id is None)
                if meaning is Meaning.UNKNOWN and await self._is_connected_after_all(client, failure, before):
                    return
                if meaning is Meaning.REFUSED or not self.wishes.waits:
                    raise FailedError(self._advice(failure)) from failure
                not_yet = not_yet or refusal_in(failure)
                pause, left = next_wait(failure, self.wishes.poll_interval), deadline - clock()
                if left <= 0 or (pause > left and pause > self.wishes.poll_interval):
                    raise TookTooLongError(
                        f"The token was not authorised in PagerDuty in time. {_last_words(failure)}"
                        f" As long as it is valid, go on with {self._resumption()}."
                    )
                say(_last_words(failure))
                await asyncio.sleep(min(pause, left))

    async def _try_to_connect(self, client: AsyncClient, token: IntegrationToken) -> PagerDutyAlertingError | None:
        """Asks the API once and returns how that failed, or None if it did not.

        The call has all of its own time, also where waiting ends before: to cut it short would leave its outcome open.
        """
        self.under_way = "connect"
        try:
            await client.connect(token)
        except PagerDutyAlertingError as error:
            self.under_way = None
            return error
        self.under_way = None
        return None

    async def _is_connected_after_all(
        self, client: AsyncClient, failure: PagerDutyAlertingError, before: Sequence[Service]
    ) -> bool:
        """Looks, after a *connect* of unknown outcome, for services that were not there before; it is not repeated.

        Raises:
            FailedError: There are none, or they cannot be listed.
        """
        go_on = (
            "See later what `pagerduty-alerting services list` shows, and if PagerDuty is not connected go on with"
            f" {self._resumption()}."
        )
        try:
            services = await client.list_services()
        except PagerDutyAlertingError:
            raise FailedError(go_on) from failure
        known = {service.id for service in before}
        if any(service.id not in known for service in services):
            self.terminal.err.paragraph(
                f"Warning: {explanation(failure)} The new services are there, though.", "yellow"
            )
            return True
        raise FailedError(f"No new service is there so far. {go_on}") from failure

    async def _show_connected(self, client: AsyncClient) -> None:
        """Shows what is connected now; it is, even where this fails."""
        err = self.terminal.err
        err.line((f"{err.ok} PagerDuty is connected.", "green"))
        try:
            services = await client.list_services()
        except PagerDutyAlertingError as error:
            err.paragraph(f"Warning: the services cannot be listed. {explanation(error)}", "yellow")
            return
        show_services(self.terminal.out, [Row(self.account, service) for service in services])

    def _rehearse(self, before: Sequence[Service]) -> None:
        """Says what would be done."""
        steps = f"connect PagerDuty with the account {printable(self.account)}"
        if self.wishes.waits:
            steps = (
                f"wait up to {time_left(self.wishes.wait_timeout)} minutes until the token is authorised, and {steps}"
            )
        if self.token is None and self.wishes.waits:
            steps = f"create an integration token, {steps}"
        elif self.token is None:
            steps = f"create and print an integration token for the account {printable(self.account)}"
        connected = f"{len(before)} PagerDuty service{'s' * (len(before) != 1)}"
        self.terminal.out.paragraph(f"Would {steps}. It has {connected} now. Nothing was changed.")

    def _instruct(self, token: IntegrationToken) -> None:
        """Says what a person has to do in PagerDuty."""
        err = self.terminal.err
        if self.wishes.waits:
            err.line("Integration token (a secret): ", (printable(token.id), "bold"))
        if self.wishes.authorize_url is None:
            err.paragraph("Authorise it in PagerDuty: log in, choose the services that Cloudflare may notify, confirm.")
        else:
            err.paragraph("Authorise it in PagerDuty: open this page, log in, choose the services, confirm.")
            err.line((link(self.wishes.authorize_url, token), "underline"))
        if not self.wishes.waits:
            err.paragraph(f"Then finish with {self._resumption('TOKEN_ID')}.")

    def _advice(self, failure: PagerDutyAlertingError) -> str:
        """Returns how to go on after a failure that changed nothing."""
        if not isinstance(failure, APIStatusError):
            return f"Then go on with {self._resumption()}."
        if failure.status in {401, 403}:
            return ""
        return (
            f"Once the token is authorised in PagerDuty, try again with {self._resumption()}."
            " If it is used or has expired, run `pagerduty-alerting connect` for a new one."
        )

    def _resumption(self, token_id: str | None = None) -> str:
        """Returns the command that goes on with the token. A token that was read unseen is not shown now either."""
        if token_id is None:
            token_id = UNSEEN if self.token is None or self.wishes.token_id == UNSEEN else self.token.id
        return printable(f"`{shlex.join(['pagerduty-alerting', 'connect', token_id, *self.again])}`")


_UNKNOWN_TOKEN = (
    "A token may have been created that nobody knows. It does nothing by itself: run the command again for another."
)


def given_token(token_id: str) -> IntegrationToken:
    """Returns the token of the command line, or reads it from standard input for `-`."""
    if token_id == UNSEEN:
        typed = ask("Integration token (it is not shown): ")
        token_id = sys.stdin.readline().strip() if typed is None else typed
    try:
        arguments.check_identifier("TOKEN_ID", token_id)
    except ValueError as error:
        raise UsageError(f"{error}.") from None
    return IntegrationToken(token_id)


def check_template(template: str) -> None:
    """Refuses what makes no link.

    Raises:
        UsageError: There is no place for the token in it, or it is no web address.
    """
    try:
        parts = urlsplit(template)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"https", "http"} or not parts.hostname or not template.isprintable() or " " in template:
        raise UsageError("--authorize-url must be an https:// address without spaces.")
    if PLACEHOLDER not in template:
        raise UsageError(f"--authorize-url must have {PLACEHOLDER} where the token belongs.")


def link(template: str, token: IntegrationToken) -> str:
    """Returns the page where a token is authorised."""
    return template.replace(PLACEHOLDER, quote(token.id, safe=""))


def _given(option: str, value: str | None) -> list[str]:
    return [] if value is None else [f"{option}={value}"]


def _last_words(failure: PagerDutyAlertingError) -> str:
    """Returns what keeps us waiting: in the API's words, where it had any."""
    if isinstance(failure, APIStatusError) and failure.errors:
        return f"The API says: {printable(' '.join(failure.errors[0].message.split()))[:200]}."
    return explanation(failure)


@contextlib.contextmanager
def _progress(err: Stream, left: Callable[[], float], *, shown: bool) -> Generator[Callable[[str], None]]:
    """Shows that we wait, for how much longer, and what it is that the context says: on a terminal, as it changes."""
    said = ""

    def say(words: str) -> None:
        nonlocal said
        said = words

    if not shown:
        yield say
        return
    if not err.is_terminal or err.console.is_dumb_terminal:
        err.paragraph(f"Waiting up to {time_left(left())} minutes for it. Ctrl-C stops waiting.")
        yield say
        return
    spinner = Spinner("dots" if err.is_unicode else "line")

    def now() -> Spinner:
        spinner.update(text=Text(f"Waiting for it, {time_left(left())} left. Ctrl-C stops waiting. {said}"))
        return spinner

    with Live(
        get_renderable=now,
        console=err.console,
        transient=True,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield say
