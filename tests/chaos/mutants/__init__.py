"""Mutants of the product, one file per family of tests."""
