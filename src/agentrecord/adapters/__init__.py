"""Ways in for frameworks that know nothing of this package, one module each; they never import one another."""
