"""The one door to the table: what every row goes through, each concern one module. It knows nothing of chats."""
