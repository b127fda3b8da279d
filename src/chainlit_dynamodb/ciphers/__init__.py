"""Sealing bytes, and whoever wraps the keys that do. It knows nothing of rows or chats."""
