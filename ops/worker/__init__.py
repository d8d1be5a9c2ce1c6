"""A worker: a small parent, its engine processes, and what they tell people and each other.

parent      the worker itself: signals, the id's lock, its engines
process     one engine process as the parent sees it; `restarts` says when it starts again
order       what the parent tells an engine process
child       the engine process
server      HTTP for the world; `answers`: what an engine process tells the server
metrics     Prometheus text
directory   who serves what, in Kafka
logs        one line an event
reach       whether a broker can be reached at all
lock        one owner for an id on a machine
client      asking workers over HTTP
leashed     a worker that ends with whoever started it
"""
