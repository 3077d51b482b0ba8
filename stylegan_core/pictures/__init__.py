"""Pictures: files in and out, latents drawn in chunks, contact sheets, curves, a moving crop."""
