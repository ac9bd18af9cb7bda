"""The VAE: encoder, decoder, q(z|x), p(z), the sigma parameterisations and the likelihoods."""
