"""Pages: a cursor is opaque, comes back unchanged, and nothing else is accepted as one."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.edge.bodies import DirectBody
from shared.edge.pages import PagePosition
from shared.edge.requests import RequestError
from shared.store.job_documents import is_document_id

document_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(is_document_id)


def cursor_of(content: str | bytes) -> str:
    """A forged cursor with this content."""
    return base64.urlsafe_b64encode(content if isinstance(content, bytes) else content.encode()).decode()


def test_without_a_cursor_the_first_page_begins():
    """It begins at the first user."""
    assert PagePosition(None, 1) == PagePosition.parse(None)


@given(document_ids, st.integers(1, 10_000))
def test_a_cursor_leads_to_the_next_page(user_id, number):
    """The next page begins behind the last user of this one."""
    cursor = PagePosition(None, number).next_cursor(user_id)

    assert PagePosition(user_id, number + 1) == PagePosition.parse(cursor)


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀", "\x01", '"', "\\"])
def test_the_longest_id_makes_a_cursor_that_is_accepted(character):
    """An id may have 1,500 bytes of any text. A chain of pages never breaks at a user."""
    user_id = character * (1500 // len(character.encode()))

    body = DirectBody(cursor=PagePosition(None, 2**50).next_cursor(user_id))

    assert user_id == PagePosition.parse(body.cursor).after


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ann",
        "====",
        "é",
        "\ud800",
        cursor_of(""),
        cursor_of("null"),
        cursor_of("5"),
        cursor_of('"2a"'),
        cursor_of("[]"),
        cursor_of('[2,"ann",3]'),
        cursor_of('{"a":1,"b":2}'),
        cursor_of('[1,"ann"]'),
        cursor_of('[0,"ann"]'),
        cursor_of('[-2,"ann"]'),
        cursor_of('[true,"ann"]'),
        cursor_of('[2.0,"ann"]'),
        cursor_of('["2","ann"]'),
        cursor_of('[NaN,"ann"]'),
        cursor_of('[9007199254740993,"ann"]'),
        cursor_of(f'[{"9" * 4000},"ann"]'),
        cursor_of(f'[{"9" * 5000},"ann"]'),
        cursor_of("[2,5]"),
        cursor_of("[2,null]"),
        cursor_of('[2,["ann"]]'),
        cursor_of('[2,""]'),
        cursor_of('[2,"a/b"]'),
        cursor_of('[2,".."]'),
        cursor_of('[2,"__a__"]'),
        cursor_of(r'[2,"\ud800"]'),
        cursor_of(json.dumps([2, "u" * 1501])),
        cursor_of("[" * 9000),
        cursor_of(b"\xff\xfe\x00"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_a_text_that_is_no_cursor_is_refused(text):
    """It is the caller's mistake, and the error names the field."""
    with pytest.raises(RequestError) as raised:
        PagePosition.parse(text)

    assert (raised.value.status, raised.value.code, raised.value.field) == (400, "invalid_value", "cursor")


numbers = st.none() | st.booleans() | st.integers() | st.floats()


@given(st.text() | st.binary().map(cursor_of) | st.tuples(numbers, numbers | st.text()).map(json.dumps).map(cursor_of))
def test_any_text_is_a_position_or_refused(text):
    """No text causes any other exception."""
    try:
        position = PagePosition.parse(text)
    except RequestError as exc:
        assert exc.status == 400  # noqa: PT017 (either outcome holds)
        return

    assert position.number >= 2
    assert position.after is not None
    assert is_document_id(position.after)
