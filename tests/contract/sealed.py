"""A chat that holds a mark wherever content is."""

from __future__ import annotations

import base64
import random
from typing import Any

from chainlit.element import CustomElement, Text
from chainlit.types import Feedback
from chainlit.user import User

from tests.contract.chats import message, start_thread, tool

MARK = "marmalade"


def noise(size: int) -> str:
    """Give text that cannot be compressed, with the mark in it."""
    return MARK + base64.b64encode(random.Random(1).randbytes(size)).decode() + MARK  # noqa: S311 - only noise


async def tell_everything(layer: Any) -> None:
    """Write a chat with the mark in each field that holds content, short and long, once and again."""
    await layer.create_user(User("alice", metadata={MARK: MARK}))
    await start_thread(layer, name=f"{MARK} " * 300)
    for long in ("", " long" * 2_000, noise(300_000)):
        text = MARK + long
        await layer.create_step(message("s1", output=text, input=text, metadata={MARK: [text]}, tags=[MARK]))
        await layer.update_step(
            message(
                "s1",
                output=text + "!",
                tags=[MARK],
                name=MARK,
                language=MARK,
                command=MARK,
                generation={"prompt": text},
                ours=MARK,
            )
        )
        await layer.update_thread("t1", name=text[:5_000], metadata={MARK: text, "small": MARK}, tags=[MARK])
        await layer.upsert_feedback(Feedback(forId="s1", threadId="t1", value=1, comment=text))
        await layer.create_element(
            CustomElement(id="e1", name=MARK, props={MARK: text}, for_id="s1", thread_id="t1", display="inline")
        )
        await layer.set_step_favorite(message("s1", metadata={MARK: text}), True)
    await layer.create_step(tool("s2", input=MARK, output=MARK, name=MARK, count=12345.5))
    await layer.create_element(
        Text(id="e2", name=MARK, content=MARK, for_id="s1", thread_id="t1", language=MARK, mime=f"text/{MARK}")
    )
    await layer.create_step(message("s3", output=MARK))
    await layer.delete_step("s3")
