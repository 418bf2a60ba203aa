"""What the benchmarks share: held-out fields, scores, a store of measured rows, and rows driven by other libraries."""
