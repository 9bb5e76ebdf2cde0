"""One module for each framework that writes into the record; each needs the extra of its name."""
