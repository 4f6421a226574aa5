"""The attrs classes that a call returns are values, and none shows a secret."""

import copy
import pickle
from typing import Any

import pytest
from attrs import fields
from attrs.exceptions import FrozenInstanceError
from multidict import CIMultiDict

from pagerduty_alerting import (
    AccountDeletion,
    AccountServices,
    ConnectedDestination,
    Envelope,
    IntegrationToken,
    RateLimit,
    RateLimitPolicy,
    RateLimits,
    Response,
    ResponseInfo,
    ResultInfo,
    Service,
    ServicesDeleted,
    ServicesListed,
    ServicesNotDeleted,
    ServicesNotListed,
)
from pagerduty_alerting import models as module


class SomeError(Exception):
    """Equals its copies, unlike most exceptions."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


RESPONSE = Response(
    envelope=Envelope(True, [Service("1", "one")], (), (ResponseInfo("hint", 1000),), ResultInfo(1, 1, 20, 1)),
    status=200,
    headers=CIMultiDict({"CF-Ray": "abc"}),
    ray_id="abc",
    rate_limits=RateLimits((RateLimit("default", 5, 3.0),), (RateLimitPolicy("default", 1200, 300.0),)),
    attempts=2,
    elapsed=0.25,
)

MODELS: list[Any] = [
    AccountServices("a", [Service("1", "one")]),
    AccountDeletion("a", Envelope(True, None)),
    ServicesListed("a", [Service("1", "one")]),
    ServicesNotListed("a", error=SomeError("x")),
    ServicesDeleted("a", Envelope(True, None)),
    ServicesNotDeleted("a", error=SomeError("x")),
    Service("1", "one"),
    IntegrationToken("secret-id"),
    ConnectedDestination("secret-id"),
    ResponseInfo("text", 1000),
    ResultInfo(1, 2, 3, 4),
    RESPONSE.envelope,
    RESPONSE.rate_limits.limits[0],
    RESPONSE.rate_limits.policies[0],
    RESPONSE.rate_limits,
    RESPONSE,
]

every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


def test_every_model_is_tested() -> None:
    assert {type(model).__name__ for model in MODELS} == set(module.__all__)


@every_model
def test_a_model_is_frozen(model: Any) -> None:
    name = fields(type(model))[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(model, name, None)


@every_model
def test_a_model_has_slots_and_no_dict(model: Any) -> None:
    assert not hasattr(model, "__dict__")


@every_model
def test_a_model_equals_its_pickled_copy(model: Any) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        restored = pickle.loads(pickle.dumps(model, protocol))
        assert restored == model
        assert type(restored) is type(model)


@every_model
def test_a_model_equals_its_copies(model: Any) -> None:
    assert copy.copy(model) == model
    assert copy.deepcopy(model) == model


@pytest.mark.parametrize(
    "model", [m for m in MODELS if not isinstance(m, Response | Envelope | AccountServices)], ids=repr
)
def test_a_model_of_plain_values_can_be_a_key(model: Any) -> None:
    assert {model: 1}[copy.copy(model)] == 1


def test_models_with_other_values_or_of_other_classes_differ() -> None:
    assert Service("1", "one") != Service("1", "two")
    assert IntegrationToken("1") != ConnectedDestination("1")


@pytest.mark.parametrize("holder", [IntegrationToken, ConnectedDestination])
def test_the_repr_hides_an_id_that_may_be_a_token(holder: type[Any]) -> None:
    made = holder("secret-id")
    assert repr(made) == f"{holder.__name__}(id=<hidden>)"
    assert "secret-id" not in f"{made} {[made]!r} {Envelope(True, made)!r}"


def test_the_repr_of_a_response_shows_no_headers() -> None:
    assert "CF-Ray" not in repr(RESPONSE)
    assert "attempts=2" in repr(RESPONSE)


def test_the_result_of_a_response_is_that_of_its_envelope() -> None:
    assert RESPONSE.result is RESPONSE.envelope.result


def test_the_headers_of_a_pickled_response_are_still_looked_up_without_regard_to_case() -> None:
    assert pickle.loads(pickle.dumps(RESPONSE)).headers["cf-RAY"] == "abc"
