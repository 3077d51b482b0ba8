"""The arithmetic: modulated convolution, FIR resampling, activations. No networks, no files."""
