"""The emulator's page in headless Chromium, without JavaScript; collected when named, in a nox session of its own."""

import os
import shutil

import pytest

from pagerduty_alerting.emulator import Emulator, TokenState

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="there is no Chromium with its driver on this machine"
)

HOSTILE = "<img src=x onerror=\"document.title='broken'\">\"'&"


@pytest.fixture
def api():
    with Emulator(catalogue=["Primary on-call", "Database", HOSTILE]) as api:
        yield api


@pytest.fixture(params=["without JavaScript", "with JavaScript"])
def browser(request, tmp_path):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--disable-dev-shm-usage", "--no-proxy-server", f"--user-data-dir={tmp_path}"):
        options.add_argument(argument)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium has none for root
    if request.param == "without JavaScript":
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


def create_token(api):
    from http.client import HTTPConnection

    connection = HTTPConnection(api.origin.removeprefix("http://"), timeout=20)
    path = f"/client/v4/accounts/{api.account_id}/alerting/v3/destinations/pagerduty/connect"
    connection.request("POST", path, headers={"Authorization": f"Bearer {api.api_token}"})
    connection.getresponse().read()
    connection.close()
    return api.tokens()[-1].id


def find(browser, selector):
    return browser.find_element("css selector", selector)


def press(browser, selector):
    """Presses a button and waits until the page is replaced."""
    from selenium.webdriver.support.expected_conditions import staleness_of
    from selenium.webdriver.support.wait import WebDriverWait

    page = find(browser, "html")
    find(browser, selector).click()
    WebDriverWait(browser, 20).until(staleness_of(page))


def text_of(browser):
    return find(browser, "body").text


def test_a_person_authorizes_a_token_by_choosing_services(api, browser):
    token_id = create_token(api)
    browser.get(f"{api.origin}/_emulator/")
    assert browser.title == "PagerDuty alerting emulator"
    assert token_id[:8] in text_of(browser)
    find(browser, "input[value='Database']").click()
    find(browser, "textarea").send_keys("Website\nMail & more")
    press(browser, "form.token button")
    assert api.tokens()[0].services == ("Database", "Website", "Mail & more")
    assert "authorized" in text_of(browser)
    assert "Mail & more" in text_of(browser)
    assert browser.find_elements("css selector", "form.token") == []
    assert browser.current_url == f"{api.origin}/_emulator/"


def test_choosing_nothing_shows_an_error(api, browser):
    token_id = create_token(api)
    browser.get(f"{api.origin}/_emulator/")
    press(browser, "form.token button")
    assert "choose at least one service" in find(browser, "[role=alert]").text
    assert api.token_state(token_id) is TokenState.PENDING


def test_hostile_names_are_shown_as_text_and_can_be_chosen(api, browser):
    create_token(api)
    api.add_service(HOSTILE)
    browser.get(f"{api.origin}/_emulator/")
    assert HOSTILE in text_of(browser)
    browser.find_elements("css selector", "input[name=services]")[-1].click()
    press(browser, "form.token button")
    assert api.tokens()[0].services == (HOSTILE,)
    assert browser.title == "PagerDuty alerting emulator"
    assert browser.find_elements("css selector", "img") == []


def test_the_latest_requests_are_shown_without_secrets(api, browser):
    token_id = create_token(api)
    api.authorize(token_id, ["Database"])
    browser.get(f"{api.origin}/_emulator/")
    assert "/connect" in text_of(browser)
    assert "201" in text_of(browser)
    shown = find(browser, "section[aria-labelledby=requests]").get_attribute("innerHTML")
    assert token_id not in shown
    assert api.api_token not in shown


def test_the_page_is_styled_and_violates_none_of_its_policies(api, browser):
    create_token(api)
    browser.get(f"{api.origin}/_emulator/")
    assert find(browser, "form.token button").value_of_css_property("color") == "rgba(255, 255, 255, 1)"
    violations = [entry["message"] for entry in browser.get_log("browser")]
    assert [it for it in violations if "Content Security Policy" in it] == []


def test_a_person_resets_everything(api, browser):
    api.add_service("Database")
    browser.get(f"{api.origin}/_emulator/")
    press(browser, "button.quiet")
    assert "No PagerDuty services." in text_of(browser)
    assert api.services() == []


def test_the_link_that_connect_shows_leads_to_the_form_of_the_token(api, browser):
    create_token(api)
    token_id = create_token(api)
    browser.get(api.authorize_url.replace("{token}", token_id))
    assert find(browser, "form.token:target input[name=token]").get_attribute("value") == token_id


def test_the_root_redirects_to_the_page_with_the_environment_to_copy(api, browser):
    browser.get(api.origin)
    assert browser.current_url == f"{api.origin}/_emulator/"
    for name, value in api.environ.items():
        assert f"export {name}={value}" in find(browser, "pre").text


def boxes(browser, selector):
    return [element.rect for element in browser.find_elements("css selector", selector)]


def test_on_a_narrow_screen_rows_are_stacked_and_no_word_is_broken(api, browser):
    api.authorize(create_token(api), ["Primary on-call"])
    set_width(browser, 390)
    browser.get(f"{api.origin}/_emulator/")
    path, status = boxes(browser, "section[aria-labelledby=requests] tr:last-child td")[2:4]
    assert status["y"] >= path["y"] + path["height"] - 1
    assert find(browser, "section[aria-labelledby=accounts] h3").rect["height"] < 30  # an account's id is on one line
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


def test_on_a_wide_screen_headings_and_states_are_on_one_line(api, browser):
    api.authorize(create_token(api), ["Primary on-call"])
    set_width(browser, 1200)
    browser.get(f"{api.origin}/_emulator/")
    assert {box["height"] < 40 for box in boxes(browser, "th")} == {True}
    assert len({box["y"] for box in boxes(browser, "section[aria-labelledby=requests] th")}) == 1


def set_width(browser, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_the_page_fits_its_window(api, browser, width):
    create_token(api)
    set_width(browser, width)
    browser.get(f"{api.origin}/_emulator/")
    right = find(browser, "html").rect["width"]
    found = [
        (element.tag_name, element.rect)
        for element in browser.find_elements("css selector", "main *:not(thead *, thead)")
    ]
    assert [(tag, box) for tag, box in found if box["x"] + box["width"] > right] == []
