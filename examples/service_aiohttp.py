"""An aiohttp service that owns one client for its lifetime: GET /services.

Reads the CLOUDFLARE_* variables. Run it with `python examples/service_aiohttp.py`.
"""

from collections.abc import AsyncIterator

from aiohttp import web

from pagerduty_alerting import AsyncClient, PagerDutyAlertingError

CLIENT = web.AppKey("client", AsyncClient)
routes = web.RouteTableDef()


async def open_client(app: web.Application) -> AsyncIterator[None]:
    async with AsyncClient(timeout=10) as app[CLIENT]:
        yield


@routes.get("/services")
async def list_services(request: web.Request) -> web.Response:
    try:
        services = await request.app[CLIENT].list_services()
    except PagerDutyAlertingError as error:  # its text is written for people and contains no secret
        return web.json_response({"error": str(error)}, status=502)
    return web.json_response([{"id": service.id, "name": service.name} for service in services])


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(open_client)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=8000)
