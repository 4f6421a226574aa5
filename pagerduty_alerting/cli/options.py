"""The options that several commands share, and how their values are read; quick to import."""

import re
from typing import Annotated, NamedTuple

import typer

ENVIRONMENT = """\
Settings come from the environment: CLOUDFLARE_API_TOKEN (or CLOUDFLARE_API_KEY with CLOUDFLARE_EMAIL),
CLOUDFLARE_ACCOUNT_ID, CLOUDFLARE_BASE_URL. Credentials are never arguments, which other users of the machine
could see: without those variables use --api-token-file, or enter the token at the prompt.

Exit status: 0 done, 1 the API refused, 2 wrong usage or settings, 3 no response in time, 130 stopped by you,
143 by SIGTERM."""

_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def duration(option: str, text: str) -> float:
    """Returns the seconds of a duration such as `50ms`, `5s`, `10m`, `1h` or `2.5`, or raises `BadParameter`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        said = f"{text!r} is not a duration: write it as 50ms, 5s, 10m, 1h, or in seconds"
        raise typer.BadParameter(said, param_hint=f"'{option}'")
    return float(match[1]) * _SECONDS[match[2]]


AccountId = Annotated[
    str | None, typer.Option("--account-id", metavar="ID", help="The account; overrides CLOUDFLARE_ACCOUNT_ID.")
]
AccountIds = Annotated[
    list[str] | None,
    typer.Option(
        "--account-id", metavar="ID", help="The account; overrides CLOUDFLARE_ACCOUNT_ID. Repeat it for several."
    ),
]
ApiTokenFile = Annotated[
    str | None,
    typer.Option("--api-token-file", metavar="FILE", help="Read the API token from a file; - is standard input."),
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="The API; overrides CLOUDFLARE_BASE_URL.")
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="DURATION", help="For each call to the API, retries included. [default: 30s]"),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, for scripts; errors are JSON lines on stderr.", show_default=False)
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log requests on stderr, and show tracebacks of errors.")
]


class Options(NamedTuple):
    """The shared options, which the help describes; None and False for those that were not given."""

    api_token_file: str | None = None
    base_url: str | None = None
    timeout: float | None = None  # seconds
    verbose: bool = False

    def overridden_by(self, later: "Options") -> "Options":
        """Returns these options, overridden by those of `later` that were given."""
        given = {name: value for name, value in later._asdict().items() if value is not None and value is not False}
        return self._replace(**given)
