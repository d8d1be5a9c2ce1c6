"""Kill, stop, cut off and starve real processes under load; what is published must come out exact.

A case is three parts that know nothing of each other: the `workload` makes records and, by itself, their right
answer; the `nemesis` disturbs; the `checker` reads the topics afterwards, as any consumer would, and gives a verdict.
What is random comes from a seed, which is printed and taken back: ``make faults SEED=7``. Each case is run three times
(`case.THRICE`), of seeds 7, 8 and 9 then.

    test_kills, test_streams     kill -9, SIGSTOP, lost state, at random moments, for every stream
    test_crash_points            a crash between any two steps (`processors.crash_points`)
    test_network                 a worker cut from its broker (`network`; needs root)
    test_brokers                 brokers stopped in mid-transaction; one or two of three lost
    test_state_directory         disks that are full (`disk`; needs root), torn (`tearing`) or old
    test_group                   a storm of rebalances; a standby that takes over
    test_input                   input lost, partitions added, state of another release
    test_tls                     TLS and a password
    test_soak                    an hour at half load (``make soak``)
"""
