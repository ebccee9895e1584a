"""What is to be retrieved, what a peer has of it, and what proves that it came (PS3.4 C.4.2, C.4.3)."""
