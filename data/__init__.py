"""Turns texts into batches: readers, corpora, cleaning, the cache of token ids, and row packing."""
