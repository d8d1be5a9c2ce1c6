"""Where summaries go, and how they are read: committed records only."""
