"""A deterministic simulation of everything around a data layer: time, network, engine, storage, processes, people."""
