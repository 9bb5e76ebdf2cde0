"""Routes: one module for each part of the record, each a thin call of the store."""
