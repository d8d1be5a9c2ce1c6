"""Tests: `unit` without I/O, `kafka` on a real broker, `faults` under disturbance, `bench` for figures."""
