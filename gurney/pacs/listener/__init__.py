"""The side that listens: who may associate with us, and where what they send goes (PS3.8 7.1, PS3.4 annex B)."""
