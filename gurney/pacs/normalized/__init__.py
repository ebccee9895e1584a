"""The DIMSE-N services: procedure steps, availability, media creation, and any other (PS3.7 10)."""
