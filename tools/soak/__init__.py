"""Long runs of the pack on ComfyUI's engine and its server, bounded in time: python -m tools.soak [PART ...]"""
