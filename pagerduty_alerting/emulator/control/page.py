"""The page for a person below `/_emulator/`, as a function of its content."""

import base64
import hashlib
from html import escape

import attrs

from pagerduty_alerting.emulator.requests import RecordedRequest
from pagerduty_alerting.emulator.rules.state import Account, IntegrationToken, TokenState

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
h3 { font-size: 1rem; font-weight: normal; margin-bottom: 0; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
.token { border: 1px solid #8886; border-radius: .5rem; padding: 1rem; margin: 1rem 0; }
.token p { margin-top: 0; }
fieldset { border: 0; margin: 0 0 1rem; padding: 0; min-width: 0; }
label, td, th, h3, li { overflow-wrap: anywhere; }
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
@media (max-width: 40rem) { th, td { padding: .3rem .25rem; } table { font-size: .8rem; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

PAGE_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Content-Security-Policy", _POLICY),
)
"""The headers of the page; no script runs on it, whatever a name contains."""


@attrs.frozen
class PageToken:
    """An integration token on the page.

    Attributes:
        token: The token.
        state: How far it has come.
    """

    token: IntegrationToken
    state: TokenState

    @property
    def short_id(self) -> str:
        """Enough of the token to tell it from others."""
        return f"{self.token.id[:8]}…"


@attrs.frozen
class PageContent:
    """What the page shows.

    Attributes:
        url: The base URL for clients.
        accounts: The accounts.
        tokens: The integration tokens, newest first.
        catalogue: The names of the services that PagerDuty offers to choose from.
        requests: The latest requests, newest first.
        problem: What was wrong with the form that was sent, or None.
    """

    url: str
    accounts: tuple[Account, ...]
    tokens: tuple[PageToken, ...]
    catalogue: tuple[str, ...]
    requests: tuple[RecordedRequest, ...]
    problem: str | None = None


def render_page(content: PageContent) -> str:
    """Write the page as HTML."""
    pending = [it for it in content.tokens if it.state is TokenState.PENDING]
    others = [it for it in content.tokens if it.state is not TokenState.PENDING]
    problem = f'<p class="problem" role="alert">{escape(content.problem)}</p>' if content.problem else ""
    forms = "".join(_authorize_form(it, content.catalogue) for it in pending)
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
<p>Serving <code>{escape(content.url)}</code></p>
</header>
<main>
{problem}
<section aria-labelledby="pending">
<h2 id="pending">Pending integration tokens</h2>
{forms or '<p class="empty">None. A client creates one with POST …/pagerduty/connect.</p>'}
{_token_table(others)}
</section>
<section aria-labelledby="accounts">
<h2 id="accounts">Accounts</h2>
{"".join(map(_account, content.accounts))}
</section>
<section aria-labelledby="requests">
<h2 id="requests">Latest requests</h2>
{_request_table(content.requests)}
</section>
<form method="post" action="/_emulator/reset"><button class="quiet">Reset everything</button></form>
</main>
</body>
</html>
"""


def _authorize_form(shown: PageToken, catalogue: tuple[str, ...]) -> str:
    choices = "".join(
        f'<label><input type="checkbox" name="services" value="{escape(name)}"> {escape(name)}</label>'
        for name in catalogue
    )
    return f"""<form method="post" action="/_emulator/authorize" class="token">
<p>Token <code>{escape(shown.short_id)}</code> for account <code>{escape(shown.token.account_id)}</code></p>
<input type="hidden" name="token" value="{escape(shown.token.id)}">
<fieldset><legend>Choose PagerDuty services</legend>
{choices}
<label class="others">Other services, one a line
<textarea name="others" rows="2"></textarea></label>
</fieldset>
<button>Authorise</button>
</form>
"""


def _token_table(tokens: list[PageToken]) -> str:
    if not tokens:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(it.short_id)}</code></td><td>{escape(it.state.value)}</td>"
        f"<td>{escape(', '.join(it.token.services or ()))}</td></tr>"
        for it in tokens
    )
    return f"""<table><caption>Other tokens</caption>
<thead><tr><th>Token</th><th>State</th><th>Services chosen</th></tr></thead>
<tbody>{rows}</tbody></table>
"""


def _account(account: Account) -> str:
    services = "".join(
        f"<li>{escape(service.name)} <code>{escape(service.id)}</code></li>" for service in account.services
    )
    plan = "" if account.entitled else " (its plan has no PagerDuty)"
    listed = f"<ul>{services}</ul>" if services else '<p class="empty">No PagerDuty services.</p>'
    return f"<h3><code>{escape(account.id)}</code>{plan}</h3>{listed}\n"


def _request_table(requests: tuple[RecordedRequest, ...]) -> str:
    if not requests:
        return '<p class="empty">None yet.</p>'
    rows = "".join(
        f"<tr><td>{request.received_at:%H:%M:%S}</td><td>{escape(request.method)}</td>"
        f"<td><code>{escape(request.masked_path)}</code></td>"
        f"<td>{'' if request.status is None else request.status}</td>"
        f"<td>{escape(request.fault or '')}</td></tr>"
        for request in requests
    )
    return f"""<table>
<thead><tr><th>Time (UTC)</th><th>Method</th><th>Path</th><th>Status</th><th>Fault</th></tr></thead>
<tbody>{rows}</tbody></table>
"""
