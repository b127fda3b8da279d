"""Amazon DynamoDB over asyncio: transport, codec, expressions, one gateway. It knows nothing of chats."""
