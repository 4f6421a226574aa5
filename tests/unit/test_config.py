"""Settings: how they are read from the environment, which contradict each other, and that their reprs hide secrets."""

import pickle
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from pagerduty_alerting import ConfigurationError, RetryPolicy
from pagerduty_alerting._arguments import check_base_url
from pagerduty_alerting.config import (
    DEFAULT_BASE_URL,
    ApiKey,
    ApiToken,
    RetryEvent,
    Settings,
    resolve_account_id,
    resolve_base_url,
    resolve_credentials,
)

TOKEN = ApiToken("token")
KEY = ApiKey("key", "me@example.com")

NO_CREDENTIALS = "no credentials: pass api_token=…, or set CLOUDFLARE_API_TOKEN"
NO_KEY = "api_email without an api_key: pass api_key=…, or set CLOUDFLARE_API_KEY"
NO_EMAIL = "api_key without an api_email: pass api_email=…, or set CLOUDFLARE_EMAIL"
BOTH = "pass either api_token, or api_key with api_email, not both"


def resolve(variables: dict[str, str], arguments: dict[str, Any]) -> ApiToken | ApiKey:
    environ = {f"CLOUDFLARE_{name}": value for name, value in variables.items()}
    return resolve_credentials(environ, **{"api_token": None, "api_key": None, "api_email": None, **arguments})


@pytest.mark.parametrize(
    ("variables", "arguments", "expected"),
    [
        ({}, {"api_token": "token"}, TOKEN),
        ({"API_TOKEN": "token"}, {}, TOKEN),
        ({"API_TOKEN": "other"}, {"api_token": "token"}, TOKEN),
        ({"API_KEY": "k", "EMAIL": "e"}, {"api_token": "token"}, TOKEN),
        ({"API_TOKEN": "token", "API_KEY": "key", "EMAIL": "me@example.com"}, {}, TOKEN),
        ({"API_TOKEN": "", "API_KEY": "key", "EMAIL": "me@example.com"}, {}, KEY),
        ({"API_KEY": "key", "EMAIL": "me@example.com"}, {}, KEY),
        ({"API_TOKEN": "token"}, {"api_key": "key", "api_email": "me@example.com"}, KEY),
        ({"API_KEY": "other", "EMAIL": "me@example.com"}, {"api_key": "key"}, KEY),
        ({"API_TOKEN": "token", "API_KEY": "key"}, {"api_email": "me@example.com"}, KEY),
        ({}, {"api_key": "key", "api_email": "me@example.com"}, KEY),
    ],
)
def test_credentials_are_taken_from_arguments_then_the_environment(
    variables: dict[str, str], arguments: dict[str, Any], expected: ApiToken | ApiKey
) -> None:
    assert resolve(variables, arguments) == expected


@pytest.mark.parametrize(
    ("variables", "arguments", "problem"),
    [
        ({}, {}, NO_CREDENTIALS),
        ({"API_TOKEN": "", "API_KEY": "", "EMAIL": ""}, {}, NO_CREDENTIALS),
        ({"API_KEY": "key"}, {}, NO_EMAIL),
        ({"EMAIL": "me@example.com"}, {}, NO_KEY),
        ({}, {"api_key": "key"}, NO_EMAIL),
        ({}, {"api_email": "me@example.com"}, NO_KEY),
        ({"API_TOKEN": "token"}, {"api_key": "key"}, NO_EMAIL),
        ({}, {"api_token": "token", "api_key": "key"}, BOTH),
        ({}, {"api_token": "token", "api_email": "me@example.com"}, BOTH),
        ({"API_TOKEN": "token\n"}, {}, "the environment variable CLOUDFLARE_API_TOKEN must not begin or end with"),
        ({"API_KEY": "k k", "EMAIL": "e"}, {}, "the environment variable CLOUDFLARE_API_KEY must not contain spaces"),
        ({"API_KEY": "k", "EMAIL": "é"}, {}, "the environment variable CLOUDFLARE_EMAIL must be printable ASCII"),
    ],
)
def test_missing_or_contradictory_credentials_are_a_configuration_error(
    variables: dict[str, str], arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(variables, arguments)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize("name", ["api_token", "api_key", "api_email"])
def test_an_invalid_argument_is_a_type_or_value_error(name: str) -> None:
    rest = {} if name == "api_token" else {"api_key": "key", "api_email": "me@example.com"}
    with pytest.raises(TypeError, match=f"^{name} must be a str, not int$"):
        resolve({}, {**rest, name: 7})
    with pytest.raises(ValueError, match=f"^{name} must not be empty$"):
        resolve({"API_TOKEN": "token"}, {**rest, name: ""})


def test_an_api_token_is_sent_as_a_bearer_token() -> None:
    assert TOKEN.headers() == {"Authorization": "Bearer token"}
    assert TOKEN.secrets() == ("token",)


def test_an_api_key_is_sent_with_its_email() -> None:
    assert KEY.headers() == {"X-Auth-Email": "me@example.com", "X-Auth-Key": "key"}
    assert KEY.secrets() == ("key",)


def test_the_reprs_of_credentials_and_settings_hide_them() -> None:
    for credentials in (ApiToken("opensesame"), ApiKey("opensesame", "me@example.com")):
        assert "opensesame" not in repr(credentials)
        assert "opensesame" not in repr(Settings(credentials=credentials))


def test_the_account_id_is_taken_from_the_argument_then_the_environment() -> None:
    assert resolve_account_id({"CLOUDFLARE_ACCOUNT_ID": "other"}, "mine") == "mine"
    assert resolve_account_id({"CLOUDFLARE_ACCOUNT_ID": "mine"}, None) == "mine"
    assert resolve_account_id({"CLOUDFLARE_ACCOUNT_ID": ""}, None) is None
    assert resolve_account_id({}, None) is None


def test_an_account_id_in_the_environment_is_not_percent_encoded() -> None:
    assert resolve_account_id({"CLOUDFLARE_ACCOUNT_ID": "a/b"}, None) == "a/b"


@pytest.mark.parametrize("value", ["..", "a b", "a" * 257])
def test_an_invalid_account_id_in_the_environment_is_a_configuration_error(value: str) -> None:
    with pytest.raises(ConfigurationError, match="^the environment variable CLOUDFLARE_ACCOUNT_ID must not "):
        resolve_account_id({"CLOUDFLARE_ACCOUNT_ID": value}, None)


@pytest.mark.parametrize(
    ("variable", "argument", "expected"),
    [
        (None, None, DEFAULT_BASE_URL),
        ("", None, DEFAULT_BASE_URL),
        ("https://proxy.example/v4/", None, "https://proxy.example/v4"),
        ("https://proxy.example/v4", "https://own.example/", "https://own.example"),
        ("not a URL at all", "https://own.example", "https://own.example"),
    ],
)
def test_the_base_url_is_taken_from_the_argument_then_the_environment_then_the_default(
    variable: str | None, argument: str | None, expected: str
) -> None:
    environ = {} if variable is None else {"CLOUDFLARE_BASE_URL": variable}
    assert resolve_base_url(environ, argument, allow_insecure_http=False) == expected


def test_an_invalid_base_url_in_the_environment_is_a_configuration_error() -> None:
    environ = {"CLOUDFLARE_BASE_URL": "http://example.com"}
    with pytest.raises(ConfigurationError, match="^the environment variable CLOUDFLARE_BASE_URL is http:// to"):
        resolve_base_url(environ, None, allow_insecure_http=False)
    assert resolve_base_url(environ, None, allow_insecure_http=True) == "http://example.com"


def test_allow_insecure_http_must_be_a_bool_even_for_https() -> None:
    with pytest.raises(TypeError, match="^allow_insecure_http must be a bool, not str$"):
        resolve_base_url({}, "https://own.example", allow_insecure_http="no")  # type: ignore[arg-type]


def test_the_default_base_url_is_the_documented_one() -> None:
    assert DEFAULT_BASE_URL == "https://api.cloudflare.com/client/v4"


@pytest.mark.parametrize(
    ("name", "value", "error_type"),
    [
        ("max_attempts", 0, ValueError),
        ("max_attempts", 1.5, TypeError),
        ("max_attempts", True, TypeError),
        ("initial_delay", -1, ValueError),
        ("initial_delay", float("inf"), ValueError),
        ("initial_delay", "1", TypeError),
        ("max_delay", -0.1, ValueError),
        ("max_delay", float("nan"), ValueError),
        ("max_delay", None, TypeError),
        ("statuses", 503, TypeError),
        ("statuses", "text", TypeError),
        ("statuses", {"503"}, TypeError),
        ("statuses", [True], TypeError),
        ("statuses", [503.0], TypeError),
        ("statuses", [399], ValueError),
        ("statuses", [600], ValueError),
        ("attempt_timeout", 0, ValueError),
        ("attempt_timeout", "1", TypeError),
        ("replay_unsafe", 1, TypeError),
        ("on_retry", "call me", TypeError),
    ],
)
def test_a_retry_policy_with_an_invalid_value_is_refused(name: str, value: Any, error_type: type[Exception]) -> None:
    with pytest.raises(error_type, match=name):
        RetryPolicy(**{name: value})


def test_a_retry_policy_takes_every_documented_argument() -> None:
    policy = RetryPolicy(
        max_attempts=1, initial_delay=0, max_delay=0.0, attempt_timeout=1, replay_unsafe=True, on_retry=print
    )
    assert (policy.max_attempts, policy.attempt_timeout, policy.on_retry) == (1, 1, print)


def test_the_defaults_of_a_retry_policy() -> None:
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.attempt_timeout, policy.replay_unsafe) == (None, None, False)


def test_by_default_a_retry_policy_retries_temporary_statuses_and_those_of_cloudflares_edge() -> None:
    cloudflares = {*range(520, 528), 530}
    assert RetryPolicy().statuses == {408, 429, 500, 502, 503, 504} | cloudflares


@pytest.mark.parametrize(
    "statuses", [[400, 599], (599, 400), {400, 599}, iter([400, 599])], ids=["list", "tuple", "set", "iterator"]
)
def test_any_collection_of_statuses_is_stored_as_a_frozenset(statuses: Any) -> None:
    policy = RetryPolicy(statuses=statuses)
    assert policy.statuses == frozenset({400, 599})
    assert hash(policy) == hash(RetryPolicy(statuses=(400, 599)))


def test_a_retry_policy_may_have_no_statuses() -> None:
    assert RetryPolicy(statuses=()).statuses == frozenset()


def test_a_retry_policy_is_an_immutable_value_with_keyword_only_arguments() -> None:
    assert RetryPolicy(max_attempts=5) == pickle.loads(pickle.dumps(RetryPolicy(max_attempts=5)))
    with pytest.raises(FrozenInstanceError):
        RetryPolicy().max_attempts = 7  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        RetryPolicy(5)  # type: ignore[misc]


def test_a_retry_event_can_be_pickled() -> None:
    event = RetryEvent("List PagerDuty services", 1, ConfigurationError("text"), 0.5)
    restored = pickle.loads(pickle.dumps(event))
    assert (restored.operation, restored.attempt, restored.delay) == ("List PagerDuty services", 1, 0.5)
    assert str(restored.error) == "text"


@pytest.mark.parametrize(
    ("name", "value", "error_type"),
    [
        ("account_id", "..", ValueError),
        ("account_id", 7, TypeError),
        ("timeout", 0, ValueError),
        ("timeout", None, TypeError),
        ("connect_timeout", -1, ValueError),
        ("retry", 3, TypeError),
        ("respect_rate_limits", 1, TypeError),
        ("max_response_bytes", 0, ValueError),
        ("max_response_bytes", 1e6, TypeError),
        ("user_agent", "a\nb", ValueError),
        ("user_agent", None, TypeError),
    ],
)
def test_the_error_for_an_invalid_setting_names_it(name: str, value: Any, error_type: type[Exception]) -> None:
    with pytest.raises(error_type, match=f"^{name} must "):
        Settings(credentials=TOKEN, **{name: value})


def test_none_leaves_a_setting_unchanged() -> None:
    settings = Settings(credentials=TOKEN, account_id="a", timeout=7.0)
    changed = settings.changed({"timeout": None, "account_id": "b"})
    assert (changed.account_id, changed.timeout, changed.credentials) == ("b", 7.0, TOKEN)
    assert settings.account_id == "a"


def test_changed_settings_are_checked_too() -> None:
    with pytest.raises(ValueError, match="^timeout must be"):
        Settings(credentials=TOKEN).changed({"timeout": -1})


def test_false_changes_a_setting() -> None:
    assert Settings(credentials=TOKEN).changed({"respect_rate_limits": False}).respect_rate_limits is False


def test_every_request_has_accept_user_agent_and_authorization_headers() -> None:
    headers = Settings(credentials=TOKEN, user_agent="mine/1").headers()
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"] == "mine/1"
    assert headers["Authorization"] == "Bearer token"


@pytest.mark.parametrize("credentials", [ApiToken("s3cret"), ApiKey("s3cret", "ops@example.com")])
def test_the_repr_of_credentials_shows_that_a_value_is_hidden(credentials: ApiToken | ApiKey) -> None:
    assert "value=<hidden>" in repr(credentials)


def test_a_request_has_no_other_headers() -> None:
    assert Settings(credentials=ApiToken("t"), user_agent="mine").headers() == {
        "Authorization": "Bearer t",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": "mine",
    }


def test_the_error_for_missing_credentials_names_all_ways_to_pass_them() -> None:
    with pytest.raises(ConfigurationError) as failure:
        resolve_credentials({}, api_token=None, api_key=None, api_email=None)

    assert str(failure.value) == (
        "no credentials: pass api_token=…, or set CLOUDFLARE_API_TOKEN (or CLOUDFLARE_API_KEY with CLOUDFLARE_EMAIL)"
    )


def test_the_error_for_an_invalid_base_url_names_its_argument() -> None:
    with pytest.raises(ValueError, match=r"^base_url "):
        resolve_base_url({}, "ftp://example.com", allow_insecure_http=False)


def test_the_error_for_http_to_another_machine_says_how_to_allow_it() -> None:
    with pytest.raises(ValueError, match=r" use https://, or set allow_insecure_http=True$"):
        check_base_url("base_url", "http://example.com", allow_insecure_http=False)


def test_only_trailing_slashes_are_removed_from_a_base_url() -> None:
    assert check_base_url("base_url", "https://example.com/X//", allow_insecure_http=False) == "https://example.com/X"


def test_the_error_for_something_other_than_a_retry_policy_names_its_type() -> None:
    with pytest.raises(TypeError, match=r"^retry must be a RetryPolicy, not int$"):
        Settings(credentials=ApiToken("t"), retry=3)  # type: ignore[arg-type]


def test_the_error_for_an_invalid_setting_shows_its_value() -> None:
    with pytest.raises(ValueError, match=r"^timeout .*-5"):
        Settings(credentials=ApiToken("t"), timeout=-5)
