"""What comes in and what goes out: records, summaries, the wire. Knows nothing else of the house.

One module per stream (`sites`), and what all streams share: `schema` (a stream's half that producers need),
`decode` (a whole run at once), `wire` (topics, partitioner, headers), `errors` (every failure, as one tree).
"""
