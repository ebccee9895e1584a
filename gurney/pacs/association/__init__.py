"""An association: how it is asked for, what is told of it, and what it carries (PS3.8 7, PS3.7 D)."""
