"""Logging and metrics, without patient data."""
