"""The architectures: the layers between the pixels and z, in the encoder and in the decoder."""
