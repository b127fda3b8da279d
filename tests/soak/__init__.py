"""Many sessions chatting through faults, and a check of every write that was acknowledged."""
