"""A chain of steps that shrink a network, as it runs: its data, its rows, what is kept, and resuming."""
