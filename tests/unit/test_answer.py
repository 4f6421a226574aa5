"""Headers and responses as values: which headers are joined, what is hidden, and which ray ids are valid."""

import pickle
from collections.abc import Iterator, Mapping

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from pagerduty_alerting._protocol.answer import RawResponse, ReceivedHeaders, SecretHeaders


def test_the_values_of_a_repeated_header_are_joined() -> None:
    headers = CIMultiDict([("Ratelimit", '"a";r=1'), ("X-Other", "x"), ("ratelimit", '"b";r=2')])
    folded = ReceivedHeaders(headers)
    assert folded["RateLimit"] == '"a";r=1, "b";r=2'
    assert folded["x-other"] == "x"
    assert len(folded) == 2


def test_a_header_of_a_response_is_found_without_regard_to_case_and_joined() -> None:
    answer = RawResponse(200, CIMultiDict([("Ratelimit", "a"), ("ratelimit", "b")]), b"")

    assert answer.header("RateLimit") == answer.headers["RATELIMIT"] == "a, b"
    assert answer.header("CF-Ray") is None


def test_headers_that_occur_once_keep_their_spelling() -> None:
    assert list(ReceivedHeaders(CIMultiDict({"CF-Ray": "a", "Server": "b"})).items()) == [
        ("CF-Ray", "a"),
        ("Server", "b"),
    ]


def test_received_headers_show_no_values_and_can_be_pickled() -> None:
    headers = ReceivedHeaders(CIMultiDictProxy(CIMultiDict([("A", "opensesame"), ("B", "1"), ("a", "2")])))

    assert repr(headers) == "<headers A, B>"
    assert pickle.loads(pickle.dumps(headers)) == headers == {"A": "opensesame, 2", "B": "1"}


def test_the_repr_of_secret_headers_names_them_and_hides_their_values() -> None:
    headers = SecretHeaders({"Authorization": "Bearer opensesame", "Accept": "application/json"})
    assert repr(headers) == "<headers Authorization, Accept>"
    assert headers["Authorization"] == "Bearer opensesame"


class JoinedHeaders(Mapping[str, str]):
    """Headers as in aiohttp 4: repeated ones are joined, and `getall` takes no default."""

    def __init__(self, headers: CIMultiDict[str]) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._headers.getall(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self._headers))

    def __len__(self) -> int:
        return len(set(self._headers))

    def getall(self, name: str) -> tuple[str, ...]:
        return tuple(self[name].split(", "))


def test_headers_of_aiohttp_4_are_read_too() -> None:
    answer = RawResponse(200, JoinedHeaders(CIMultiDict([("Ratelimit", "a"), ("Ratelimit", "b")])), b"")

    assert answer.header("ratelimit") == answer.headers["RATELIMIT"] == "a, b"
    assert answer.header("CF-Ray") is None
    assert pickle.loads(pickle.dumps(answer.headers)) == answer.headers == {"Ratelimit": "a, b"}


def test_the_repr_of_a_response_shows_neither_headers_nor_body() -> None:
    answer = RawResponse(302, CIMultiDict({"Location": "/connect/opensesame"}), b"opensesame")
    assert "opensesame" not in repr(answer)


@pytest.mark.parametrize(
    ("headers", "ray_id"),
    [({"cf-ray": "8f2a-FRA"}, "8f2a-FRA"), ({}, None), ({"CF-Ray": "\x1b[2J"}, None), ({"CF-Ray": "x" * 65}, None)],
)
def test_the_ray_id_is_none_unless_it_is_valid(headers: dict[str, str], ray_id: str | None) -> None:
    assert RawResponse(200, CIMultiDict(headers), b"").ray_id == ray_id
