"""The connect flow as a web application: a button, PagerDuty's own pages, and back.

Reads the CLOUDFLARE_* variables, and, as the command line does, PAGERDUTY_ALERTING_AUTHORIZE_URL: the page at which
people of yours authorize a token in PagerDuty, with {token} where the token goes (Cloudflare publishes no address for
it). Run it with `python examples/connect_web_app.py`, behind your own sign-in: anybody who can open it can change where
alerts go.
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
# What has been begun: the tokens, which are secrets, stay here, and the browser gets a random number for each. With
# several processes, keep them in a store that all of them share.
BEGUN = web.AppKey("begun", dict[str, IntegrationToken])
routes = web.RouteTableDef()


async def own_client(app: web.Application) -> AsyncIterator[None]:
    app[BEGUN] = {}
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
    request.app[BEGUN][number] = token
    where = os.environ["PAGERDUTY_ALERTING_AUTHORIZE_URL"].replace("{token}", quote(token.id, safe=""))
    answer = page(
        f"<p>Authorize <code>{escape(token.id)}</code> at <a href='{escape(where)}' target=_blank"
        " rel='noopener noreferrer'>PagerDuty</a> and choose services, then"
        " <form method=post action=/finish><button>I have done so</button></form>"
    )
    # SameSite: no other site can have a browser of ours finish what was begun.
    answer.set_cookie("begun", number, httponly=True, samesite="Strict", secure=request.secure, max_age=3600)
    return answer


@routes.post("/finish")
async def finish(request: web.Request) -> web.Response:
    number = request.cookies.get("begun", "")
    token = request.app[BEGUN].get(number)
    if token is None:
        raise web.HTTPSeeOther("/")
    try:
        await request.app[CLIENT].connect(token)
    except (BadRequestError, NotFoundError) as error:  # not authorized yet, or used up
        return page(f"<p>{escape(str(error))}<form method=post><button>Try again</button>", status=409)
    del request.app[BEGUN][number]
    raise web.HTTPSeeOther("/")


@web.middleware
async def answer_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except PagerDutyAlertingError as error:  # its text is made for people and holds no secret
        return page(f"<p>{escape(str(error))}", status=502)


def page(body: str, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    text = f"<!doctype html><title>PagerDuty</title>{body}"
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)


def make_app() -> web.Application:
    app = web.Application(middlewares=[answer_failures])
    app.add_routes(routes)
    app.cleanup_ctx.append(own_client)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=8000)
