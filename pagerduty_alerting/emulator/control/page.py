"""The HTML page at `/_emulator/`, as a function of its content; it has no scripts."""

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from html import escape

from attrs import frozen

from pagerduty_alerting.emulator.requests import RecordedRequest
from pagerduty_alerting.emulator.rules.state import Account, IntegrationToken, TokenState

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
h3 { font-size: 1rem; font-weight: normal; margin-bottom: 0; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { border: 1px solid #8886; border-radius: .5rem; padding: .75rem; overflow-x: auto; user-select: all; }
.token { border: 1px solid #8886; border-radius: .5rem; padding: 1rem; margin: 1rem 0; }
.token:target { border-color: #06ac38; box-shadow: 0 0 0 1px #06ac38; }
.token p { margin-top: 0; }
fieldset { border: 0; margin: 0 0 1rem; padding: 0; min-width: 0; }
legend { font-weight: 600; padding: 0; }
label { display: block; padding: .15rem 0; }
textarea { display: block; width: 100%; box-sizing: border-box; font: inherit; }
button { font: inherit; padding: .4rem 1rem; border-radius: .4rem; border: 1px solid #06ac38;
  background: #048a24; color: #fff; cursor: pointer; }
button:focus-visible, input:focus-visible, textarea:focus-visible { outline: 3px solid #4a90d9; }
button.quiet { background: none; color: inherit; border-color: #8886; margin-top: 2rem; }
.problem { border-left: 4px solid #c0392b; padding: .5rem 1rem; background: #c0392b22; }
.empty { opacity: .75; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #8884; vertical-align: top; }
th { white-space: nowrap; }
td span { display: inline-block; max-width: 28rem; }
@media (max-width: 45rem) {
  table, caption, tbody, tr, td { display: block; }
  thead { display: none; }
  tr { border-bottom: 1px solid #8884; padding: .4rem 0; }
  td { border: 0; padding: .1rem 0; }
  td:empty { display: none; }
  td::before { content: attr(data-label); display: block; font-size: .8rem; opacity: .75; }
  td span { display: inline; }
}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'"

PAGE_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Content-Security-Policy", f"{_POLICY}; frame-ancestors 'none'"),
)


@frozen
class PageContent:
    """The content of the page; tokens and requests begin with the newest."""

    environ: Mapping[str, str]
    accounts: tuple[Account, ...]
    tokens: tuple[tuple[IntegrationToken, TokenState], ...]
    catalogue: tuple[str, ...]  # the names of the services that a person can choose
    requests: tuple[RecordedRequest, ...]
    problem: str | None = None  # the error in the submitted form


def exports(environ: Mapping[str, str]) -> list[str]:
    """Returns the shell commands that set these variables."""
    return [f"export {name}={shlex.quote(value)}" for name, value in environ.items()]


def render_page(content: PageContent) -> str:
    """Returns the page as HTML."""
    pending = [token for token, state in content.tokens if state is TokenState.PENDING]
    others = [
        (_short_id(token), state.value, f"<span>{escape(', '.join(token.services))}</span>" if token.services else "")
        for token, state in content.tokens
        if state is not TokenState.PENDING
    ]
    requests = [
        (
            f"{request.received_at:%H:%M:%S}",
            escape(request.method),
            # Paths wrap only after a slash.
            f"<code>{escape(request.masked_path).replace('/', '/<wbr>')}</code>",
            "" if request.status is None else str(request.status),
            escape(request.fault or ""),
        )
        for request in content.requests
    ]
    heads = ("Time (UTC)", "Method", "Path", "Status", "Fault")
    problem = f'<p class="problem" role="alert">{escape(content.problem)}</p>' if content.problem else ""
    forms = "".join(_authorize_form(token, content.catalogue) for token in pending)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>PagerDuty alerting emulator</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>PagerDuty alerting emulator</h1>
<p>A local copy of Cloudflare's API for PagerDuty destinations.</p>
</header>
<main>
{problem}
<section aria-labelledby="pending">
<h2 id="pending">Pending integration tokens</h2>
{forms or '<p class="empty">None. A client creates one with POST …/pagerduty/connect.</p>'}
{_table("Other tokens", ("Token", "State", "Services chosen"), others) if others else ""}
</section>
<section aria-labelledby="accounts">
<h2 id="accounts">Accounts</h2>
{"".join(map(_account, content.accounts))}
</section>
<section aria-labelledby="environment">
<h2 id="environment">Environment for clients</h2>
<pre>{escape(chr(10).join(exports(content.environ)))}</pre>
</section>
<section aria-labelledby="requests">
<h2 id="requests">Latest requests</h2>
{_table("", heads, requests) if requests else '<p class="empty">None yet.</p>'}
</section>
<form method="post" action="/_emulator/reset"><button class="quiet">Reset everything</button></form>
</main>
</body>
</html>
"""


def _short_id(token: IntegrationToken) -> str:
    return f"<code>{escape(token.id[:8])}…</code>"


def _authorize_form(token: IntegrationToken, catalogue: tuple[str, ...]) -> str:
    choices = "".join(
        f'<label><input type="checkbox" name="services" value="{escape(name)}"> {escape(name)}</label>'
        for name in catalogue
    )
    token_id = escape(token.id)
    return f"""<form method="post" action="/_emulator/authorize" class="token" id="{token_id}">
<p>Token {_short_id(token)} for account <code>{escape(token.account_id)}</code></p>
<input type="hidden" name="token" value="{token_id}">
<fieldset><legend>Choose PagerDuty services</legend>
{choices}
<label class="others">Other services, one a line
<textarea name="others" rows="2"></textarea></label>
</fieldset>
<button>Authorize</button>
</form>
"""


def _account(account: Account) -> str:
    services = "".join(
        f"<li>{escape(service.name)} <code>{escape(service.id)}</code></li>" for service in account.services
    )
    plan = "" if account.entitled else " (its plan has no PagerDuty)"
    listed = f"<ul>{services}</ul>" if services else '<p class="empty">No PagerDuty services.</p>'
    return f"<h3><code>{escape(account.id)}</code>{plan}</h3>{listed}\n"


def _table(caption: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Returns a table of HTML cells; on a narrow screen each cell is below the heading of its column."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = ""
    for row in rows:
        cells = (f'<td data-label="{name}">{cell}</td>' for name, cell in zip(heads, row, strict=True))
        body += f"<tr>{''.join(cells)}</tr>"
    title = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
