"""Helpers that do not depend on factorizations."""
