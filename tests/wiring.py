"""Layers whose transport a test can exchange, through the public seam `transport=`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from chainlit_dynamodb import DynamoDBDataLayer, Transport
from chainlit_dynamodb.dynamodb.aio_transport import AioTransport
from chainlit_dynamodb.dynamodb.endpoint import Target, resolve_target
from chainlit_dynamodb.testing.transports import Switched

T = TypeVar("T", bound=Transport)
_switches: WeakKeyDictionary[Any, Switched] = WeakKeyDictionary()


@lru_cache
def target_of(url: str) -> Target:
    """Give region, endpoint and credentials of an engine, found once: it takes longer than most tests."""
    return resolve_target(None, url, os.environ)


def aio_transport(url: str, table_name: str) -> AioTransport:
    """Give a transport to an engine."""
    return AioTransport.to(target_of(url), table_name)


def wired(table_name: str, transport: Transport, **options: Any) -> DynamoDBDataLayer:
    """Give a layer whose transport can be exchanged."""
    switch = Switched(transport)
    layer = DynamoDBDataLayer(table_name, transport=switch, **options)
    _switches[layer] = switch
    return layer


def switch_of(layer: Any) -> Switched:
    """Give what passes on the requests of a layer that `wired` made."""
    return _switches[layer]


def wrap(layer: Any, wrapper: Callable[[Transport], T]) -> T:
    """Put a wrapper around the transport of a layer that `wired` made."""
    switch = switch_of(layer)
    wrapped = wrapper(switch.inner)
    switch.inner = wrapped
    return wrapped
