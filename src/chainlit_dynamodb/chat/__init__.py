"""The chat's own layer: access patterns on the table. It knows nothing of Chainlit's classes."""
