"""Celery workers: an app, one task, and the batch runner behind it."""
