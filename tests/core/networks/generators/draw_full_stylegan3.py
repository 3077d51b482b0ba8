"""Draw a full-size golden's image, float32, to stdout, and say the peak memory in bytes on stderr: a process of its own.

The peak is the program's alone; getrusage would begin with that of the process that started it.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

import torch

from stylegan_core.networks.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from tests.conftest import GOLDENS, Golden
from tests.full_size import rule_tensors

golden = Golden(GOLDENS / sys.argv[1])
state = rule_tensors(golden)
model = StyleGAN3(StyleGAN3Config.from_shapes({k: tuple(v.shape) for k, v in state.items()}, {}))
model.load_state_dict(state, strict=False, assign=True)
del state
torch.set_num_threads(2)
with torch.inference_mode():
    image = model.synthesis(model.mapping(golden.tensor("z")))
sys.stdout.buffer.write(image.numpy().tobytes())
peak = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
assert peak is not None
sys.stderr.write(f"{int(peak[1]) * 1024}\n")
