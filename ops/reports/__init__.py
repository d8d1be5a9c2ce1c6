"""What `report STREAM …` prints: tables made of summaries and of the answers of state, and how they are written."""
