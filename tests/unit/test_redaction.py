"""Secrets are masked in every text that is shown of a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerduty_alerting._protocol.redaction import excerpt, one_line, redact, snippet
from tests.support.strategies import CHARACTERS

UUIDS = [
    "a313ba7d3e464c0ea40808fafbc3816a",
    "A313BA7D3E464C0EA40808FAFBC3816A",
    "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
]

words = st.text("abcXYZ09-_.", min_size=1, max_size=6)


def test_every_occurrence_of_every_secret_is_masked() -> None:
    assert redact("one two one three", ["one", "three"]) == "<hidden> two <hidden> <hidden>"


def test_a_secret_that_begins_with_another_is_masked_whole() -> None:
    assert redact("key-1-long", ["key-1", "key-1-long"]) == "<hidden>"


def test_the_mask_itself_is_not_masked() -> None:
    assert redact("x hid y", ["x", "hid"]) == "<hidden> <hidden> y"


def test_text_without_secrets_is_unchanged() -> None:
    assert redact(UUIDS[0], []) == UUIDS[0]


@given(st.lists(words, min_size=1, max_size=6))
def test_secrets_are_masked_whole_however_they_overlap(secrets: list[str]) -> None:
    assert redact("|".join(secrets), secrets) == "|".join(["<hidden>"] * len(secrets))


@pytest.mark.parametrize("uuid", UUIDS)
@pytest.mark.parametrize("text", ["{}", '{{"id": "{}"}}', "token {} is unknown", "/connect/{}?x"])
def test_every_uuid_is_masked_if_one_may_be_a_token(uuid: str, text: str) -> None:
    assert redact(text.format(uuid), [], uuids=True) == text.format("<hidden>")


def test_a_longer_run_of_hexadecimal_digits_is_not_masked() -> None:
    assert redact(UUIDS[0] + "0", [], uuids=True) == UUIDS[0] + "0"


def test_a_snippet_is_one_line() -> None:
    assert snippet(b" <html>\r\n\t<b>\x00\x1b[31m</b>\n", []) == "<html> <b> [31m</b>"


@given(st.text(CHARACTERS))
def test_one_line_can_be_printed_on_any_terminal(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert line == line.strip()


def test_one_line_keeps_the_words() -> None:
    assert one_line("\u202eCaf\u00e9\x1b[2J\n\n  au lait ") == "Caf\u00e9 [2J au lait"


def test_a_short_body_is_shown_whole() -> None:
    assert snippet(b"x" * 200, []) == "x" * 200


@given(st.binary(max_size=1000))
def test_a_snippet_has_at_most_200_characters(body: bytes) -> None:
    assert len(snippet(body, [])) <= 200


def test_a_longer_body_is_cut_with_an_ellipsis() -> None:
    assert snippet(b"x" * 201, []) == "x" * 199 + "…"


def test_bytes_that_are_not_text_are_shown_as_replacement_characters() -> None:
    assert snippet(b"a\xffb", []) == "a\ufffdb"


def test_a_secret_at_the_end_of_the_snippet_is_not_shown_in_part() -> None:
    shown = snippet(b"x" * 190 + b"opensesame", ["opensesame"])
    assert shown == "x" * 190 + "<hidden>"


def test_a_secret_at_the_end_of_the_searched_part_is_not_shown_in_part() -> None:
    # White space is collapsed, so the end of the searched part is in the snippet.
    shown = snippet(b"a" + b" " * 4090 + b"opensesame", ["opensesame"])
    assert "open" not in shown
    assert "sesame" not in shown


def test_a_secret_repeated_up_to_the_end_of_the_searched_part_is_not_shown_in_part() -> None:
    # Masks are shorter than the secrets, so the end of the searched part is in the snippet.
    secret = "x" * 500 + "y"
    shown = snippet(b" " + secret.encode() * 100, [secret])
    assert set(shown.replace("<hidden>", "")) == set()


@pytest.mark.parametrize("length", [0, 4096, 4097, 6000, 20_000])
def test_an_excerpt_has_at_most_4096_characters(length: int) -> None:
    shown = excerpt(b"x" * length, [])
    assert shown == "x" * min(length, 4096)


@pytest.mark.parametrize("secret", ["OpenSesame", "opensesame", "OPENSESAME"])
def test_a_secret_is_masked_in_any_letter_case(secret: str) -> None:
    assert redact(secret, ["openSesame"]) == "<hidden>"


def test_only_the_start_of_a_large_body_is_searched() -> None:
    assert snippet(b" " * 50_000_000 + b"end", []) == ""
