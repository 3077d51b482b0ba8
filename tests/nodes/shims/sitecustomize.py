"""For test machines whose torchvision was built for CUDA and lacks its operators on a CPU: declares their schemas.

Runs when torchvision is first imported, and only where torch has no CUDA. No part of the pack.
"""

from __future__ import annotations

import importlib.abc
import sys


class _Hook(importlib.abc.MetaPathFinder):
    library = None

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if not torch.cuda.is_available():
                _Hook.library = torch.library.Library("torchvision", "FRAGMENT")
                for operator in ("nms", "qnms"):
                    _Hook.library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return None


sys.meta_path.insert(0, _Hook())
