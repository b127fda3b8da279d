"""The app that `chainlit-dynamodb demo` serves."""
