"""What is said when an engine cannot be had."""

from __future__ import annotations

from chainlit_dynamodb.errors import ChainlitDynamoDBError


class EngineMissingError(ChainlitDynamoDBError):
    """An engine is neither given by the environment nor installed."""
