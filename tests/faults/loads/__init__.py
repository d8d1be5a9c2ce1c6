"""A load for each stream: what is sent, shuffled and repeated, and the answer worked out beside (one module each)."""
