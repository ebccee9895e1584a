"""The PACS client framework: engine, remote AEs, service class users, events, the wire fast path."""
