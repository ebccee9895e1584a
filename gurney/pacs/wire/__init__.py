"""Bytes and messages on a connection: by the fast path, or pynetdicom's own way (PS3.7 9, PS3.8 9.3)."""
