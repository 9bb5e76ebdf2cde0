"""Benchmarks: ratios against the bare drivers and other programs, from one run on one machine."""
