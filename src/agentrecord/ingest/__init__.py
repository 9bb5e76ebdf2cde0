"""Foreign data to facts, and facts into the record: one module per source."""
