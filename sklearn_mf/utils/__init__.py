"""Helpers that know nothing of factorization."""
