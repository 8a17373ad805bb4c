"""From text to batches: sources, cleaning, tokenised cache, packed rows."""
