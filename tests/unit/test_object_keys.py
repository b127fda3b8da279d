"""Under which key the file of an element is stored: one of its own, whatever its ids hold."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from chainlit_dynamodb.attachments import file_of

LONG = "x" * 400
TEXTS = [
    ".",
    "..",
    "...",
    "%2E",
    "%2E%2E",
    "a/b",
    "a%2Fb",
    "a",
    "ä",
    "~",
    "=",
    "",
    LONG,
    f"{LONG}1",
    f"{LONG}2",
    "ü" * 200,
]


def key_of(user_id: Any, thread_id: str, element_id: str) -> str:
    return file_of({"threadId": thread_id, "id": element_id}, b"", user_id).object_key


def test_no_two_elements_share_a_key() -> None:
    ids = [text for text in TEXTS if text]
    keys = {key_of(*each) for each in itertools.product(ids, ids, ids)}
    assert len(keys) == len(ids) ** 3


@pytest.mark.parametrize("text", [text for text in TEXTS if text])
def test_a_key_has_three_parts_that_no_path_resolves(text: str) -> None:
    parts = key_of(text, text, text).split("/")
    assert len(parts) == 3
    assert not {"", ".", ".."} & set(parts)
    assert all(len(part) <= 300 for part in parts)


def test_usual_ids_are_their_own_key() -> None:
    assert key_of("alice@example.com", "4f1c-22", "e_1.png") == "alice@example.com/4f1c-22/e_1.png"


def test_ids_up_to_three_hundred_characters_have_the_key_they_always_had() -> None:
    assert key_of("x" * 300, "t", "e") == "x" * 300 + "/t/e"
