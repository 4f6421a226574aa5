"""The commands as a person types them: names, options, help. What they do is in `commands/`, in files of their names.

Nothing may be imported here that is slow: aiohttp, attrs and rich are loaded by the command that needs them.
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

_TEXTS = frozenset({
    "account_id", "accounts", "api_token_file", "authorize_url", "base_url", "latency", "poll_interval", "resume",
    "timeout", "token_id", "wait_timeout",
})  # fmt: skip

app = typer.Typer(
    name="pagerduty-alerting",
    help="Connect Cloudflare's notifications to PagerDuty.",
    epilog=ENVIRONMENT,
    no_args_is_help=True,
    # Plain help: it starts faster, and looks right in any terminal, encoding and width.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
services = typer.Typer(
    name="services", help="List or delete the PagerDuty services of an account.", no_args_is_help=True
)
app.add_typer(services)


def run() -> None:
    """Runs the command that `sys.argv` asks for, and exits with its status."""
    command = cast("TyperGroup", typer.main.get_command(app))
    _without_needless_conversion(command)
    command(prog_name="pagerduty-alerting")


class _ConvertOnlyIfNeeded:
    """Stands in for typer's conversion, which imports pydantic even to make a text of a text."""

    def __init__(self, conversion: "Callable[[], RuntimeParam]") -> None:
        self._conversion = conversion

    def coerce(self, value: object, param: "TyperOption | TyperArgument", ctx: typer.Context) -> object:
        """Returns the value: a text, several texts and none are what they are to be."""
        if value is None or param.name in _TEXTS:
            return () if value is None and param.multiple else value
        return self._conversion().coerce(value, param=param, ctx=ctx)


def _without_needless_conversion(command: "TyperCommand | TyperGroup", parent: typer.Context | None = None) -> None:
    """Spares a start the import of pydantic, a fifth of its time.

    Where typer calls its conversion another way, this has no effect, and a start takes longer.
    """
    context = typer.Context(command, parent=parent, **command.context_settings)
    for parameter in command.get_params(context):  # `--help` is among them
        conversion: Callable[[], RuntimeParam] | None = getattr(parameter, "get_runtime_param", None)
        if conversion is not None:
            vars(parameter)["get_runtime_param"] = functools.partial(_ConvertOnlyIfNeeded, conversion)
    for subcommand in getattr(command, "commands", {}).values():
        _without_needless_conversion(subcommand, context)


def _finish(
    options: Options, command: "Callable[[Terminal], int]", *, as_json: bool = False, needs_stdout: bool = True
) -> NoReturn:
    """Carries a command out and leaves with its exit status."""
    from pagerduty_alerting.cli.failures import exit_status_of

    raise typer.Exit(exit_status_of(command, verbose=options.verbose, as_json=as_json, needs_stdout=needs_stdout))


def _options(
    context: typer.Context,
    api_token_file: str | None = None,
    base_url: str | None = None,
    timeout: str | None = None,
    verbose: bool = False,
) -> Options:
    """Returns the options that the commands share, from before the command's name and from after it."""
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

    Shows first which they are, and asks. There is no way to delete a single one. Alerts that are routed only to
    PagerDuty have no destination afterwards.
    """
    from pagerduty_alerting.cli.commands.services import DeleteOptions, services_delete

    options = _options(context, api_token_file, base_url, timeout, verbose)
    given = DeleteOptions(account_id=account_id, yes=yes, dry_run=dry_run)
    # What it prints is of use, but what it does is what it is for: it works with stdout closed.
    _finish(options, lambda terminal: services_delete(terminal, options, given), as_json=as_json, needs_stdout=as_json)


@app.command()
def audit(
    context: typer.Context,
    *,
    accounts: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="File with the account ids, one a line; - is standard input.", show_default=False
        ),
    ],
    as_json: AsJson = False,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Leave out accounts that have an answer in this file, which --json printed before an interruption.",
        ),
    ] = None,
    fail_empty: Annotated[
        bool, typer.Option("--fail-empty", help="Exit with status 1 if some account has nothing connected.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Calls under way at the same time.")] = 16,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Find the accounts of many that have nothing connected.

    A table of them on a terminal, elsewhere their ids, one a line; with --json an object for each account as its
    response comes. It goes as fast as the API's quota allows, and waits
    where that is used up. The exit status is that of the first account that failed, if there is one.
    """
    from pagerduty_alerting.cli.commands.audit import AuditOptions, audit

    options = _options(context, api_token_file, base_url, timeout, verbose)
    given = AuditOptions(accounts=accounts, resume=resume, fail_empty=fail_empty, concurrency=concurrency)
    _finish(options, lambda terminal: audit(terminal, options, given), as_json=as_json)


@app.command()
def connect(
    context: typer.Context,
    token_id: Annotated[
        str | None,
        typer.Argument(
            metavar="TOKEN_ID",
            help="Finish with this token instead of creating one; - reads it unseen.",
            show_default=False,
        ),
    ] = None,
    *,
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Wait until the token is authorized in PagerDuty. By default for a new token, not for TOKEN_ID."
            " --no-wait prints the new token and stops.",
            show_default=False,
        ),
    ] = None,
    wait_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="Wait at most this long.", show_default=True)
    ] = "10m",
    poll_interval: Annotated[str, typer.Option(metavar="DURATION", help="Ask this often.")] = "5s",
    authorize_url: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="The page where tokens are authorized, with {token} where the token belongs, to show a link to it;"
            " in place of PAGERDUTY_ALERTING_AUTHORIZE_URL.",
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

    Creates a token, waits until you have authorized it in PagerDuty, links it, and shows what is connected then.
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
            help="Print instead what the API answered to one list, as JSON: status, names of headers, names and types"
            " in the body, and no value. To paste into an issue.",
        ),
    ] = False,
    as_json: AsJson = False,
    base_url: BaseUrl = None,
    timeout: Timeout = None,
    api_token_file: ApiTokenFile = None,
    verbose: Verbose = False,
) -> None:
    """Check settings, network, credentials and quota.

    It only reads. Each line has a mark, and what to do where something is wrong.
    """
    from pagerduty_alerting.cli.commands.doctor import doctor

    options = _options(context, api_token_file, base_url, timeout, verbose)
    _finish(
        options,
        lambda terminal: doctor(terminal, options, account_id, wants_report=report),
        as_json=as_json or report,
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
        Path | None, typer.Option(metavar="FILE", help="A JSON file with the accounts and credentials to start with.")
    ] = None,
    latency: Annotated[
        str, typer.Option(metavar="DURATION", help="Every request waits this long, such as 50ms.", show_default=False)
    ] = "0",
    fail_rate: Annotated[
        float,
        typer.Option(metavar="P", min=0, max=1, help="How likely a request is to be answered with 503, 0 to 1."),
    ] = 0.0,
    dialect: Annotated[
        list[str] | None,
        typer.Option(metavar="FORM", help="A form of the answers, such as null-lists or no-full-failures; repeatable."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Serve an emulator of the API until Ctrl-C.

    It is for any client in any language. Prints the environment variables to export, then a line for each request.
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
    """Walk the whole job against an emulator of its own.

    No account is needed, and nothing leaves this machine.
    """
    from pagerduty_alerting.cli.commands.demo import demo

    options = _options(context, verbose=verbose)
    _finish(options, demo)
