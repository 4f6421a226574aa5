"""The web applications in examples/ serve what the emulator holds, and own one client from start to end."""

import re

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient, TestServer

from pagerduty_alerting import ClientClosedError
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.examples import load


async def test_the_aiohttp_service_lists_services(named_api: Emulator) -> None:
    async with TestClient(TestServer(load("service_aiohttp").make_app())) as browser:
        answer = await browser.get("/services")

        assert [service["name"] for service in await answer.json()] == ["Primary on-call"]


async def test_the_aiohttp_service_responds_with_502_and_the_reason_after_an_error_of_cloudflare(
    named_api: Emulator,
) -> None:
    named_api.on().respond(403)
    async with TestClient(TestServer(load("service_aiohttp").make_app())) as browser:
        answer = await browser.get("/services")

        assert answer.status == 502
        assert "Notifications Read" in (await answer.json())["error"]


async def test_the_aiohttp_service_closes_its_client_when_it_ends(named_api: Emulator) -> None:
    example = load("service_aiohttp")
    app = example.make_app()
    async with TestClient(TestServer(app)) as browser:
        await browser.get("/services")

    with pytest.raises(ClientClosedError):
        await app[example.CLIENT].list_services()


def test_the_fastapi_service_lists_services(named_api: Emulator) -> None:
    testclient = pytest.importorskip("fastapi.testclient", reason="the FastAPI example needs fastapi and httpx")
    with testclient.TestClient(load("service_fastapi").app) as browser:
        (service,) = browser.get("/services").json()
        assert (set(service), service["name"]) == ({"id", "name"}, "Primary on-call")

        named_api.on().respond(403)
        answer = browser.get("/services")

    assert answer.status_code == 502
    assert "Notifications Read" in answer.json()["error"]


def test_the_flask_service_lists_services(named_api: Emulator) -> None:
    pytest.importorskip("flask", reason="the Flask example needs flask")
    example = load("service_flask")
    with example.client, example.app.test_client() as browser:
        (service,) = browser.get("/services").json
        assert (set(service), service["name"]) == ({"id", "name"}, "Primary on-call")

        named_api.on().respond(403)
        answer = browser.get("/services")

    assert answer.status_code == 502
    assert "Notifications Read" in answer.json["error"]


def test_the_django_service_lists_services(named_api: Emulator) -> None:
    django_test = pytest.importorskip("django.test", reason="the Django example needs django")
    with load("service_django").client:
        browser = django_test.Client()
        assert [service["name"] for service in browser.get("/services").json()] == ["Primary on-call"]

        named_api.on().respond(403)
        answer = browser.get("/services")

    assert answer.status_code == 502
    assert "Notifications Read" in answer.json()["error"]


@pytest.fixture
async def connect_page(named_api: Emulator, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("PAGERDUTY_ALERTING_AUTHORIZE_URL", f"{named_api.origin}/_emulator/?token={{token}}")
    server = TestServer(load("connect_web_app").make_app())
    return TestClient(
        server, cookie_jar=CookieJar(unsafe=True)
    )  # unsafe, because the server has an address instead of a name


async def test_the_connect_page_links_pagerduty(named_api: Emulator, connect_page: TestClient) -> None:
    async with connect_page as browser:
        asked = await (await browser.post("/begin")).text()
        match = re.search(r"<code>([0-9a-f]{32})</code>", asked)
        assert match is not None
        named_api.authorize(match[1], services=["Database"])
        shown = await (await browser.post("/finish")).text()

    assert f"href='{named_api.origin}/_emulator/?token={match[1]}'" in asked
    assert "<li>Database</li>" in shown


async def test_the_connect_page_can_be_finished_once_the_token_is_authorized(
    named_api: Emulator, connect_page: TestClient
) -> None:
    async with connect_page as browser:
        await browser.post("/begin")
        too_early = await browser.post("/finish")
        named_api.authorize(named_api.tokens()[0], services=["Database"])
        shown = await (await browser.post("/finish")).text()

    assert too_early.status == 409
    assert "<li>Database</li>" in shown


async def test_the_connect_page_refuses_to_finish_a_flow_that_the_browser_did_not_start(
    named_api: Emulator, connect_page: TestClient
) -> None:
    async with connect_page as browser:
        await browser.post("/finish")

    named_api.requests.assert_not_called(Operation.CONNECT)
