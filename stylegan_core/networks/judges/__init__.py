"""Networks that look at pictures: discriminators, feature trunks of perceptual losses, identity."""
