"""How it is run: the command line, its settings, the local broker, the worker around the engine."""
