"""The connect flow as a web application: a button, PagerDuty's own pages, and back.

Reads the CLOUDFLARE_* variables and, like the command line, PAGERDUTY_ALERTING_AUTHORIZE_URL: the address of the page
where a person authorizes a token in PagerDuty, with {token} as the token's placeholder (Cloudflare publishes no such
address). Run it with `python examples/connect_web_app.py`, behind your own sign-in: everyone who can open the page can
change where alerts go.
"""

import os
import secrets
from collections.abc import AsyncIterator
from html import escape
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from pagerduty_alerting import AsyncClient, BadRequestError, IntegrationToken, NotFoundError, PagerDutyAlertingError

CLIENT = web.AppKey("client", AsyncClient)
# Tokens are secrets: they stay in this process, and the browser gets a random number for each. Several processes need
# a store that all of them share.
STARTED = web.AppKey("started", dict[str, IntegrationToken])
routes = web.RouteTableDef()


async def open_client(app: web.Application) -> AsyncIterator[None]:
    app[STARTED] = {}
    async with AsyncClient(timeout=10) as app[CLIENT]:
        yield


@routes.get("/")
async def show(request: web.Request) -> web.Response:
    services = await request.app[CLIENT].list_services()
    connected = "".join(f"<li>{escape(service.name)}</li>" for service in services) or "<li>nothing yet</li>"
    return page(f"<p>Connected:<ul>{connected}</ul><form method=post action=/begin><button>Connect PagerDuty</button>")


@routes.post("/begin")
async def begin(request: web.Request) -> web.Response:
    token = await request.app[CLIENT].create_integration_token()
    number = secrets.token_urlsafe()
    request.app[STARTED][number] = token
    where = os.environ["PAGERDUTY_ALERTING_AUTHORIZE_URL"].replace("{token}", quote(token.id, safe=""))
    response = page(
        f"<p>Authorize <code>{escape(token.id)}</code> at <a href='{escape(where)}' target=_blank"
        " rel='noopener noreferrer'>PagerDuty</a> and choose services, then"
        " <form method=post action=/finish><button>Finish</button></form>"
    )
    # SameSite: other sites cannot make the browser finish the flow.
    response.set_cookie("started", number, httponly=True, samesite="Strict", secure=request.secure, max_age=3600)
    return response


@routes.post("/finish")
async def finish(request: web.Request) -> web.Response:
    number = request.cookies.get("started", "")
    token = request.app[STARTED].get(number)
    if token is None:
        raise web.HTTPSeeOther("/")
    try:
        await request.app[CLIENT].connect(token)
    except (BadRequestError, NotFoundError) as error:  # not authorized yet, used or expired
        return page(f"<p>{escape(str(error))}<form method=post><button>Try again</button>", status=409)
    del request.app[STARTED][number]
    raise web.HTTPSeeOther("/")


@web.middleware
async def report_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except PagerDutyAlertingError as error:  # its text is written for people and contains no secret
        return page(f"<p>{escape(str(error))}", status=502)


def page(body: str, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    text = f"<!doctype html><title>PagerDuty</title>{body}"
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def make_app() -> web.Application:
    app = web.Application(middlewares=[report_failures])
    app.add_routes(routes)
    app.cleanup_ctx.append(open_client)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=8000)
