"""Administration of the table: what the command line calls. It knows nothing of Chainlit."""
