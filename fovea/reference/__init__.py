"""First principles in NumPy and scipy.sparse, float64: what each operation of a CNN is, and what tests compare with."""
