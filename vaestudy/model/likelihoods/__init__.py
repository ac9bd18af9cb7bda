"""The likelihoods: the decoder's distributions p(x|z)."""
