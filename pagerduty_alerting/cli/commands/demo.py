"""`pagerduty-alerting demo`: the whole flow with both clients over TCP, against its own emulator.

The outcome of every step is checked; the exit status is 0 only if all are as expected.
"""

import asyncio
import contextlib
import inspect
import time
from collections.abc import Callable, Generator, Iterator
from typing import cast

from attrs import define

from pagerduty_alerting import (
    AsyncClient,
    AuthenticationError,
    Client,
    ConnectedDestination,
    Envelope,
    IntegrationToken,
    PagerDutyAlertingError,
    Service,
)
from pagerduty_alerting.cli.output import milliseconds
from pagerduty_alerting.cli.terminal import Stream, Terminal
from pagerduty_alerting.emulator import Emulator, TokenState

CHOSEN = ("Primary on-call", "Database")
CHOSEN_SERVICES = f"the services {', '.join(CHOSEN)}"
WRONG_TOKEN = "not-a-token-of-this-account"


@define
class Step:
    """One step of the flow, and its outcome."""

    text: str  # the call as code
    call: Callable[[], object]
    expected: str
    outcome: object = None  # what the call returned, or the client's exception
    elapsed: float = 0.0  # seconds

    @contextlib.contextmanager
    def recorded(self) -> Generator[None]:
        """Measures the call in this context, and records an exception of the client as its outcome."""
        started = time.perf_counter()
        try:
            yield
        except PagerDutyAlertingError as error:
            self.outcome = error
        self.elapsed = time.perf_counter() - started


def demo(terminal: Terminal) -> int:
    """Runs the command and returns its exit status."""
    out = terminal.out
    with Emulator() as api:
        out.paragraph(f"An emulator of the API listens at {api.url}")
        complete = asyncio.run(run_async(api, out)) and run_sync(api, out)
    out.line()
    if complete:
        out.line((f"{out.ok} Every step had the expected outcome, with both clients.", "green"))
        return 0
    out.line((f"{out.wrong} This step failed, so the demo ends here. This is a bug: please report it.", "bold red"))
    return 1


async def run_async(api: Emulator, out: Stream) -> bool:
    """Runs the flow with the asynchronous client, and returns whether every outcome was as expected."""
    out.line()
    out.line(("AsyncClient", "bold"))
    async with (
        AsyncClient(base_url=api.url, account_id=api.account_id, api_token=api.api_token) as client,
        AsyncClient(base_url=api.url, account_id=api.account_id, api_token=WRONG_TOKEN) as unauthenticated,
    ):
        for step in steps_of_flow(api, client, unauthenticated):
            with step.recorded():
                outcome = step.call()
                step.outcome = await outcome if inspect.isawaitable(outcome) else outcome
            if not show(step, out):
                return False
    return True


def run_sync(api: Emulator, out: Stream) -> bool:
    """Runs the flow with the synchronous client, and returns whether every outcome was as expected."""
    out.line()
    out.line(("Client, the synchronous facade", "bold"))
    with (
        Client(base_url=api.url, account_id=api.account_id, api_token=api.api_token) as client,
        Client(base_url=api.url, account_id=api.account_id, api_token=WRONG_TOKEN) as unauthenticated,
    ):
        for step in steps_of_flow(api, client, unauthenticated):
            with step.recorded():
                step.outcome = step.call()
            if not show(step, out):
                return False
    return True


def steps_of_flow(api: Emulator, client: AsyncClient | Client, unauthenticated: AsyncClient | Client) -> Iterator[Step]:
    """Yields the steps for either client; each must be done before the next is requested."""
    yield Step("list_services()", client.list_services, "no services")
    create = Step("create_integration_token()", client.create_integration_token, "an integration token")
    yield create
    token = create.outcome
    if not isinstance(token, IntegrationToken):
        return  # its check has failed

    def authorize() -> TokenState:
        api.authorize(token, services=CHOSEN)
        return api.token_state(token)

    yield Step("(a person chooses services in PagerDuty)", authorize, "an authorized token")
    yield Step("connect(token)", lambda: client.connect(token), "a connected destination")
    yield Step("list_services()", client.list_services, CHOSEN_SERVICES)
    refusal = "an AuthenticationError with code 10000"
    yield Step("list_services() with a wrong API token", unauthenticated.list_services, refusal)
    yield Step("delete_services()", client.delete_services, "the envelope of a success")
    yield Step("list_services()", client.list_services, "no services")


def show(step: Step, out: Stream) -> bool:
    """Writes the outcome of a step, and returns whether it is the expected one."""
    right = expected_outcome(step.expected, step.outcome)
    mark = (out.wrong, "bold red") if right is None else (out.ok, "green")
    verdict = f"expected {step.expected}, got {described(step.outcome)}" if right is None else right
    out.line("  ", mark, f" {step.text} ", (f"({milliseconds(step.elapsed)})", "dim"))
    out.paragraph(f"{out.arrow} {verdict}", "cyan", indent=6)
    return right is not None


def expected_outcome(expected: str, outcome: object) -> str | None:
    """Returns the description of an outcome that is as expected, or None for any other."""
    match expected, outcome:
        case "no services", []:
            return expected
        case "an integration token", IntegrationToken(id=token_id) if token_id and token_id not in repr(outcome):
            return f"{outcome!r}: a secret, so it is not shown"
        case "an authorized token", TokenState.AUTHORIZED:
            return f"the token is authorized for {', '.join(CHOSEN)}"
        case "a connected destination", ConnectedDestination(id=link_id) if link_id:
            return f"{outcome!r}: PagerDuty is connected"
        case _ if expected == CHOSEN_SERVICES and isinstance(outcome, list):
            services = [item for item in cast("list[object]", outcome) if isinstance(item, Service)]
            names = [service.name for service in services]
            ids = {service.id for service in services} - {""}
            is_right = sorted(names) == sorted(CHOSEN) and len(ids) == len(names)
            return f"{len(services)} services: {', '.join(names)}" if is_right else None
        case "an AuthenticationError with code 10000", AuthenticationError(status=401, codes=(10000,), ray_id=str()):
            return described(outcome) if WRONG_TOKEN not in str(outcome) else None
        case "the envelope of a success", Envelope(success=True, errors=()):
            return "success: every PagerDuty service of the account is gone"
        case _:
            return None


def described(outcome: object) -> str:
    """Returns an outcome as text; the reprs of models and the messages of errors hide secrets."""
    return f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else repr(outcome)
