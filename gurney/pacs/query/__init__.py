"""What is asked of an archive or a worklist, and what it answers (PS3.4 annexes C and K)."""
