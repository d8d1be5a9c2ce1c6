"""One job on several engines: per site the messages and the distinct visitors (`make bench CASE=peers`)."""
