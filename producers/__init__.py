"""How records come in: file replay, API poll, simulate. Knows what a record is, not how it is counted."""
