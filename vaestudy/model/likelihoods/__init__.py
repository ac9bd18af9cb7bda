"""The decoder's distributions p(x|z)."""
