"""The command line, `chainlit-dynamodb`."""
