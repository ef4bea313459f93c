"""Benchmarks against the peers; figures in the documents are generated from here."""
