"""ComfyUI hosts for tests: set up with pinned versions (hosts.json), served with this pack, driven in a browser."""
