"""Kill, stop and starve real processes under load; the summaries must come out exact.

A case is three parts that know nothing of each other: the `workload` makes events and, by itself, their right
answer; the `nemesis` disturbs; the `checker` reads the topics afterwards, as any consumer would, and gives a verdict.
What is random comes from a seed, which is printed and taken back: ``make faults SEED=7``.
"""
