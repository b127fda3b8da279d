"""The demo in a real browser, on a real Chainlit server."""
