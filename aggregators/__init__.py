"""What a summary means: one module a stream. Pure: no Kafka, no files, no clock, no logging."""
