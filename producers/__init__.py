"""How records come in: file replay, HTTP collect, API poll, simulate. Knows what a record is, not how it is counted."""
