"""What a chat survives: size, crashes, other processes, faults, bad input."""
