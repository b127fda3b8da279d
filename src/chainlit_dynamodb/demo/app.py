"""A chat whose history, feedback, favourites and files live in DynamoDB and S3. Its bot needs no model."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar, Final

import chainlit as cl
from chainlit.element import Element, ElementType
from chainlit.input_widget import Select, Slider
from chainlit.types import ThreadDict

from chainlit_dynamodb import DynamoDBDataLayer, S3StorageClient
from chainlit_dynamodb.demo.picture import sunset
from chainlit_dynamodb.demo.report import week_report
from chainlit_dynamodb.demo.weather import SENSORS, UNITS, Unit, figure, summary

_WELCOME: Final = """I am the weather station of a small harbour: no model, no key, and a good memory.

| Say | and I answer with |
|---|---|
| **How is the weather?** | nested tool steps and a streamed answer |
| **Show me the sunset** | an image |
| **Plot the day** | a chart you can zoom |
| **Write the report** | a PDF |
| a file, with the paper clip | its facts, and the file |

Rate an answer with the thumbs, star a message, change the unit in the settings, rename or search this chat.
Then stop the server, start it again, and find all of it as you left it."""


class PlotlyFigure(Element):
    """A Plotly figure given as JSON, which needs no Plotly on the server."""

    type: ClassVar[ElementType] = "plotly"


@cl.data_layer
def data_layer() -> DynamoDBDataLayer:
    """Keep chats in the table and files in the bucket that the environment names."""
    files = S3StorageClient(os.environ["CHAINLIT_DYNAMODB_BUCKET"])
    return DynamoDBDataLayer(os.environ["CHAINLIT_DYNAMODB_TABLE"], storage_provider=files)


@cl.password_auth_callback
async def log_in(username: str, password: str) -> cl.User | None:
    """Let the one user of the demo in."""
    if f"{username}:{password}" != os.environ["CHAINLIT_DEMO_LOGIN"]:
        return None
    return cl.User(identifier=username, display_name=username.capitalize())


@cl.set_starters
async def starters(_: cl.User | None) -> list[cl.Starter]:
    """Offer one question for each thing the bot can do."""
    return [
        cl.Starter("How is the weather?", "How is the weather at the harbour?", icon="/public/weather.svg"),
        cl.Starter("Show me the sunset", "Show me the sunset", icon="/public/sunset.svg"),
        cl.Starter("Plot the day", "Plot the temperatures of the day", icon="/public/plot.svg"),
        cl.Starter("Write the report", "Write the report of the week", icon="/public/report.svg"),
    ]


@cl.on_chat_start
async def start() -> None:
    """Offer the settings."""
    await _offer_settings({})


@cl.on_chat_resume
async def resume(thread: ThreadDict) -> None:
    """Bring the settings back as they were left."""
    await _offer_settings((thread.get("metadata") or {}).get("chat_settings") or {})


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Answer by what the message asks for."""
    asked = message.content.lower()
    skill = next((skill for words, skill in _SKILLS if any(word in asked for word in words)), _help)
    await (_give_back(message) if message.elements else skill())


async def _weather() -> None:
    unit = _unit()
    async with cl.Step(name="harbour sensors", type="tool", default_open=True) as step:
        readings = [await _read(sensor, unit) for sensor in range(len(SENSORS))]
        warmest = max(readings, key=lambda reading: float(reading["high"]))
        coldest = min(readings, key=lambda reading: float(reading["low"]))
        step.output = f"{len(readings)} sensors, {coldest['low']} to {warmest['high']} {unit.symbol}"
    await _say(
        f"A calm day at the harbour. The **{warmest['sensor']}** was warmest with "
        f"**{warmest['high']} {unit.symbol}**; the coldest reading of the night was {coldest['low']} "
        f"{unit.symbol} at the {coldest['sensor']}. No rain, and the ferries run on time."
    )


async def _read(sensor: int, unit: Unit) -> dict[str, Any]:
    async with cl.Step(name=f"{SENSORS[sensor]} sensor", type="tool") as step:
        step.input = {"sensor": SENSORS[sensor]}
        await asyncio.sleep(0.3)
        step.output = summary(sensor, unit)
        return summary(sensor, unit)


async def _sunset() -> None:
    picture = await asyncio.to_thread(sunset)
    image = cl.Image(name="sunset.png", content=picture, display="inline", size="large", mime="image/png")
    await _say("Tonight's sunset, seen from the north pier.", image)


async def _plot() -> None:
    chart = PlotlyFigure(name="Temperatures", content=figure(_unit()), mime="application/json", size="large")
    await _say("The day of all three sensors. Drag to zoom, double-click to come back.", chart)


async def _report() -> None:
    pdf = cl.Pdf(name="week.pdf", content=week_report(), display="inline")
    await _say("Here is the report of the week.", pdf)


async def _help() -> None:
    await _say(_WELCOME)


async def _give_back(message: cl.Message) -> None:
    rows, copies = [], []
    for upload in message.elements:
        if upload.path is None:
            continue
        content = await asyncio.to_thread(Path(upload.path).read_bytes)
        digest = hashlib.sha256(content).hexdigest()
        rows.append(f"| {upload.name} | {len(content):,} bytes | {upload.mime} | `{digest[:16]}…` |")
        copies.append(_copy(upload, content))
    table = "\n".join(["| File | Size | Type | SHA-256 |", "|---|---|---|---|", *rows])
    await _say(f"Got it, and here it is again:\n\n{table}", *copies)


def _copy(upload: Element, content: bytes) -> Element:
    kind = cl.Image if (upload.mime or "").startswith("image/") else cl.File
    return kind(name=upload.name, content=content, mime=upload.mime, display="inline")


async def _say(text: str, *elements: Element) -> None:
    message = cl.Message("", elements=list(elements))
    delay = 1 / max(1, _setting("speed", 40))
    for word in text.split(" "):
        await message.stream_token(f"{word} ")
        await asyncio.sleep(delay)
    message.content = text
    await message.send()


async def _offer_settings(current: dict[str, Any]) -> None:
    units = list(UNITS)
    chosen = current.get("unit")
    await cl.ChatSettings(
        [
            Select("unit", "Unit", values=units, initial_index=units.index(chosen) if chosen in units else 0),
            Slider("speed", "Words per second", initial=current.get("speed") or 40, min=5, max=200, step=5),
        ]
    ).send()


def _setting(name: str, default: Any) -> Any:
    return (cl.user_session.get("chat_settings") or {}).get(name) or default


def _unit() -> Unit:
    return UNITS[_setting("unit", "°C")]


_SKILLS: Final[tuple[tuple[tuple[str, ...], Callable[[], Awaitable[None]]], ...]] = (
    (("plot", "chart", "graph", "temperature"), _plot),
    (("report", "pdf", "week"), _report),
    (("sunset", "picture", "image", "photo"), _sunset),
    (("weather", "warm", "cold", "rain", "sensor"), _weather),
)
