"""One run of the simulation."""
