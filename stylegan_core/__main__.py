"""python -m stylegan_core ...: the same calls without ComfyUI."""

import sys

from .cli import main

sys.exit(main())
