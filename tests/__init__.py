"""Tests of Gurney, one folder per room; `tests.services` starts the real parts that they need."""
