"""The commands, their options and help texts. What the commands do is in `commands/`.

This file must not import slow modules: aiohttp, attrs and rich are imported by the commands that need them.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer
import typer.main

import pagerduty_alerting
from pagerduty_alerting.cli.options import (
    ENVIRONMENT,
    AccountId,
    AccountIds,
    ApiTokenFile,
    AsJson,
    BaseUrl,
    Options,
    Timeout,
    Verbose,
    duration,
)

if TYPE_CHECKING:
    from typer._coercion import RuntimeParam
    from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

    from pagerduty_alerting.cli.terminal import Terminal

_TEXT_OPTIONS = frozenset({
    "account_id", "accounts", "api_token_file", "authorize_url", "base_url", "latency", "poll_interval", "resume",
    "timeout", "token_id", "wait_timeout",
})  # fmt: skip

app: typer.Typer = typer.Typer(
    name="pagerduty-alerting",
    help="Connect Cloudflare's notifications to PagerDuty.",
    epilog=ENVIRONMENT,
    no_args_is_help=True,
    # Plain help starts faster, and suits every terminal, encoding and width.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
services: typer.Typer = typer.Typer(
    name="services", help="List or delete the PagerDuty services of an account.", no_args_is_help=True
)
app.add_typer(services)


def run() -> None:
    """Runs the command that `sys.argv` asks for, and exits with its status."""
    command = cast("TyperGroup", typer.main.get_command(app))
    _skip_needless_conversion(command)
    command(prog_name="pagerduty-alerting")


class _ConvertOnlyIfNeeded:
    """Replaces typer's conversion, which imports pydantic even for options that stay text."""

    def __init__(self, conversion: "Callable[[], RuntimeParam]") -> None:
        self._conversion = conversion

    def coerce(self, value: object, param: "TyperOption | TyperArgument", ctx: typer.Context) -> object:
        """Returns the converted value; text options need no conversion."""
        if value is None or param.name in _TEXT_OPTIONS:
            return () if value is None and param.multiple else value
        return self._conversion().coerce(value, param=param, ctx=ctx)


def _skip_needless_conversion(command: "TyperCommand | TyperGroup", parent: typer.Context | None = None) -> None:
    """Avoids the import of pydantic, a fifth of the start-up time.

    If typer changes how it converts values, this has no effect, and the start-up takes longer.
    """
    context = typer.Context(command, parent=parent, **command.context_settings)
    for parameter in command.get_params(context):  # `--help` is among them
        conversion: Callable[[], RuntimeParam] | None = getattr(parameter, "get_runtime_param", None)
        if conversion is not None:
            vars(parameter)["get_runtime_param"] = functools.partial(_ConvertOnlyIfNeeded, conversion)
    for subcommand in getattr(command, "commands", {}).values():
        _skip_needless_conversion(subcommand, context)


def _finish(
    options: Options, command: "Callable[[Terminal], int]", *, as_json: bool = False, needs_stdout: bool = True
) -> NoReturn:
    """Runs a command and exits with its status."""
    from pagerduty_alerting.cli.failures import exit_status_of

    raise typer.Exit(exit_status_of(command, verbose=options.verbose, as_json=as_json, needs_stdout=needs_stdout))


def _options(
    context: typer.Context,
    api_token_file: str | None = None,
    base_url: str | None = None,
    timeout: str | None = None,
    verbose: bool = False,
) -> Options:
    """Returns the shared options, given before or after the command's name."""
    seconds = None if timeout is None else duration("--timeout", timeout)
    earlier = context.find_object(Options) or Options()
    return earlier.overridden_by(Options(api_token_file, base_url, seconds, verbose))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pagerduty-alerting {pagerduty_alerting.__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    *,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Connect Cloudflare's notifications to PagerDuty."""
    context.obj = _options(context, api_token_file, base_url, timeout, verbose)


@services.command("list")
def list_services(
    context: typer.Context,
    *,
    account_id: AccountIds = None,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Show the PagerDuty services that Cloudflare can notify.

    A table on a terminal; elsewhere one line for each service, id and name separated by a tab.
    """
    from pagerduty_alerting.cli.commands.services import services_list

    options = _options(context, api_token_file, base_url, timeout, verbose)
    _finish(options, lambda terminal: services_list(terminal, options, account_id or []), as_json=as_json)


@services.command("delete")
def delete_services(
    context: typer.Context,
    *,
    account_id: AccountId = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Delete all PagerDuty services of an account.

    Shows them first, and asks for confirmation. A single service cannot be deleted. Alerts that are routed only to
    PagerDuty have no destination afterwards.
    """
    from pagerduty_alerting.cli.commands.services import services_delete

    options = _options(context, api_token_file, base_url, timeout, verbose)
    _finish(
        options,
        lambda terminal: services_delete(terminal, options, account_id, yes=yes, dry_run=dry_run),
        as_json=as_json,
        needs_stdout=as_json,  # its purpose is the deletion, so it also works with stdout closed
    )


@app.command()
def audit(
    context: typer.Context,
    *,
    accounts: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="File with the account ids, one per line; - is standard input.", show_default=False
        ),
    ],
    as_json: AsJson = False,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Skip the accounts that have a result in this file, the output of an earlier run with --json.",
        ),
    ] = None,
    fail_empty: Annotated[
        bool, typer.Option("--fail-empty", help="Exit with status 1 if an account has nothing connected.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Calls at the same time.")] = 16,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Find the accounts that have nothing connected.

    Prints a table on a terminal, elsewhere their ids, one per line; with --json an object for each account as its
    response arrives. Sends as many requests as the API's quota allows, and waits when it is used up. The exit
    status is that of the first account that failed.
    """
    from pagerduty_alerting.cli.commands.audit import audit

    options = _options(context, api_token_file, base_url, timeout, verbose)
    command = functools.partial(audit, resume=resume, fail_empty=fail_empty, concurrency=concurrency)
    _finish(options, lambda terminal: command(terminal, options, accounts), as_json=as_json)


@app.command()
def connect(
    context: typer.Context,
    token_id: Annotated[
        str | None,
        # Described in the docstring: in a section of arguments, typer would show its type as well.
        typer.Argument(metavar="TOKEN_ID", hidden=True),
    ] = None,
    *,
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Wait until the token is authorized in PagerDuty. Default: for a new token, but not for TOKEN_ID."
            " --no-wait prints the new token and stops.",
            show_default=False,
        ),
    ] = None,
    wait_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="Wait at most this long.", show_default=True)
    ] = "10m",
    poll_interval: Annotated[str, typer.Option(metavar="DURATION", help="Time between two attempts.")] = "5s",
    authorize_url: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="The page where tokens are authorized, with {token} for the token, to show a link to it;"
            " overrides PAGERDUTY_ALERTING_AUTHORIZE_URL.",
        ),
    ] = None,
    account_id: AccountId = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would be done.")] = False,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Connect PagerDuty, from a new token to the list of services.

    Creates a token, waits until you have authorized it in PagerDuty, links it, and shows the connected services.

    With TOKEN_ID, it finishes with that token instead of creating one; - asks for it without showing it.
    """
    from pagerduty_alerting.cli.commands.connect import ConnectOptions, connect

    options = _options(context, api_token_file, base_url, timeout, verbose)
    given = ConnectOptions(
        account_id=account_id,
        token_id=token_id,
        wait=wait,
        wait_timeout=duration("--wait-timeout", wait_timeout),
        poll_interval=duration("--poll-interval", poll_interval),
        authorize_url=authorize_url,
        dry_run=dry_run,
    )
    _finish(options, lambda terminal: connect(terminal, options, given), as_json=as_json)


@app.command()
def doctor(
    context: typer.Context,
    *,
    account_id: AccountId = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Print instead the form of one list response as JSON: status, header names, names and types in the"
            " body, but no values. For bug reports.",
        ),
    ] = False,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Check settings, network, credentials and quota.

    Changes nothing. Each line has a mark; advice follows a check that failed.
    """
    from pagerduty_alerting.cli.commands.doctor import doctor

    options = _options(context, api_token_file, base_url, timeout, verbose)
    _finish(
        options, lambda terminal: doctor(terminal, options, account_id, wants_report=report), as_json=as_json or report
    )


@app.command()
def emulator(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 lets the system choose.")
    ] = 8787,
    seed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A JSON file with the initial accounts and credentials.")
    ] = None,
    latency: Annotated[
        str, typer.Option(metavar="DURATION", help="Every request waits this long, such as 50ms.", show_default=False)
    ] = "0",
    fail_rate: Annotated[
        float,
        typer.Option(metavar="P", min=0, max=1, help="The probability, 0 to 1, that a request gets a 503 response."),
    ] = 0.0,
    dialect: Annotated[
        list[str] | None,
        typer.Option(metavar="FORM", help="A form of responses, such as null-lists or no-full-failures; repeatable."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Serve an emulator of the API until Ctrl-C.

    For clients in any language. Prints the environment variables to export, then a line for each request.
    """
    from pagerduty_alerting.cli.commands.emulator import emulator

    options = _options(context, verbose=verbose)
    seconds = duration("--latency", latency)
    _finish(
        options,
        lambda terminal: emulator(
            terminal, host, port, seed=seed, latency=seconds, fail_rate=fail_rate, dialect=dialect or ()
        ),
        needs_stdout=False,
    )


@app.command()
def demo(context: typer.Context, *, verbose: Verbose = False) -> None:
    """Run the whole flow against its own emulator.

    Needs no account, and sends nothing to other machines.
    """
    from pagerduty_alerting.cli.commands.demo import demo

    options = _options(context, verbose=verbose)
    _finish(options, demo)
