"""Tools for testing a Chainlit data layer: engines to run it on."""
