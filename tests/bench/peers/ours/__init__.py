"""The job on Streamgauge: a stream in a package of its own, as anybody adds one."""
