"""Records as JSON and back, and the one validator of values that every engine shares."""
