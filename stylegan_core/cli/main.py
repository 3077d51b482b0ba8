"""Arguments in, exit code out."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .._early import over
from ..checkpoints.unwrap import PARTS
from ..errors import AtelierError, InvalidInput, one_line
from ..faces.paste import FEATHER
from ..inversion.options import PRESETS
from ..latents import SPACES
from ..options import parse_indices
from ..runtime import PRECISIONS, is_out_of_memory, keep_freed_memory
from ..tuning.options import TUNE_PRESETS
from . import commands, dual_training, training

REFUSED = 1
PIPE_CLOSED = 141
MAX_SEED = (1 << 64) - 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake ends in one line on stderr, never in a traceback."""
    keep_freed_memory()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this, or a program without a console
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _say("Interrupted.", commands.INTERRUPTED)
    try:
        over()
        return int(arguments.run(arguments) or 0)
    except KeyboardInterrupt:
        return _say("Interrupted.", commands.INTERRUPTED)
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except AtelierError as error:
        return _say(f"{error}", REFUSED)
    except OSError as error:
        place = error.filename or "The output"
        return _say(f"{place}: {error.strerror or error}; check the path and its permissions.", REFUSED)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return _say("Memory ran out even for one image; close other programs or use a smaller model.", REFUSED)


def _say(text: str, code: int) -> int:
    sys.stderr.write(one_line(text) + "\n")
    return code


def build_parser() -> argparse.ArgumentParser:
    """Of all commands."""
    parser = argparse.ArgumentParser(prog="python -m stylegan_core", description="StyleGANs without a compiler.")
    added = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text, add_arguments, run in COMMANDS:
        sub = added.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        add_arguments(sub)
    return parser


def _info(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("path", type=Path, help="model file or folder")
    _part(sub)


def _convert(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", help="model file, or a built-in's name")
    sub.add_argument("out", type=Path, help="new .safetensors file")
    _part(sub)
    sub.add_argument("--half", action="store_true", help="store 16-bit weights")
    _overwrite(sub)


def _generate(sub: argparse.ArgumentParser) -> None:
    _model(sub)
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--seeds", type=_seeds, default=[0], help='such as "0-7" or "1,5,9" (default 0)')
    what.add_argument("--latents", type=Path, help="a file of latents in place of seeds, such as NAME_latents.safetensors of "
                                                   "invert or another program's; drawn as they are, --psi 1, unless told")
    sub.add_argument("--space", choices=SPACES, help="of the latents in a file that does not tell")
    sub.add_argument("--psi", type=_number, help="0 average face to 1 full variety (default 0.7; 1 with --latents)")
    sub.add_argument("--cutoff", type=int, help="truncate only so many rows")
    _class(sub)
    sub.add_argument("--noise", choices=("const", "random", "none"), default="const")
    sub.add_argument("--grid", action="store_true", help="also one picture of them all")
    _precision(sub)
    _out_folder(sub)


def _blend(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("base", help="model file or built-in: gives the mapping")
    sub.add_argument("other", help="model file or built-in, a relative of base")
    sub.add_argument("--out", type=Path, required=True, help="new .safetensors file")
    sub.add_argument("--resolution", type=_number, default=32, help="pixels at which they change over (default 32)")
    sub.add_argument("--mode", choices=("swap", "smooth", "linear"), default="swap")
    sub.add_argument("--width", type=_number, help="width of a smooth or linear change, in octaves (default 1)")
    sub.add_argument("--coarse", choices=("base", "other"), default="other", help="who gives the coarse layers")
    _strength(sub)
    sub.add_argument("--convention", choices=("paper", "pinkney"), default="paper")
    sub.add_argument("--half", action="store_true", help="store 16-bit weights")
    _overwrite(sub)
    _device(sub)


def _strength(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--strength", type=_pair, default=1.0, help="0 the base, 1 the other model, beyond 1 exaggerates; two "
                     'numbers, such as "1.8,1", for layers up to 32 px and above (default 1)')


def _pair(text: str) -> float | tuple[float, float]:
    parts = [_number(part) for part in text.split(",")]
    if len(parts) > 2:
        raise argparse.ArgumentTypeError(f'"{text}" is no strength; give one number or two, such as 1.5 or 1.8,1.')
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _invert(sub: argparse.ArgumentParser) -> None:
    _model(sub)
    sub.add_argument("photo", type=Path)
    sub.add_argument("--no-align", action="store_true", help="the picture is an aligned square face already")
    _class(sub)
    _inversion(sub)
    _out_folder(sub)


def _tune(sub: argparse.ArgumentParser) -> None:
    _model(sub)
    sub.add_argument("crop", type=Path, help="the aligned face, NAME_crop.png of invert")
    sub.add_argument("latents", type=Path, help="its latents, NAME_latents.safetensors of invert")
    sub.add_argument("--quality", choices=tuple(TUNE_PRESETS), default="standard")
    sub.add_argument("--steps", type=int, help="in place of the quality's number")
    sub.add_argument("--locality", type=_number, default=0.0, help="0.1 to 1 keeps other faces as they were (default 0)")
    sub.add_argument("--seed", type=_seed, default=0)
    _out_folder(sub)


def _toonify(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("photo", type=Path, help="photograph, or a folder: what is made already is kept")
    sub.add_argument("--base", default="base", help="model the face is inverted in (default: the built-in)")
    sub.add_argument("--toon", "--look", default="figurine", help="its stylized relative: a file, or figurine, ink, painting "
                     "(default figurine)")
    _strength(sub)
    sub.add_argument("--swap", type=_number, default=1024,
                     help="pixels at which the models change over; 1024 takes all of the toon (default 1024)")
    sub.add_argument("--mode", choices=("swap", "smooth", "linear"), default="swap")
    sub.add_argument("--coarse", choices=("toon", "base"), default="toon", help="who gives the shapes")
    sub.add_argument("--encoder", help="where the inversion starts: a file, \"encoder\" (the built-in one, default with the "
                                       "built-in base), or \"none\"; with --steps 0 its codes are taken as they are")
    sub.add_argument("--which", default="largest", help='faces: largest, all, or numbers such as "0, 2" (default largest)')
    sub.add_argument("--every-face", action="store_true", help="the same as --which all")
    sub.add_argument("--outline", choices=("head", "oval", "square"), default="head", help="what of a toon is pasted")
    sub.add_argument("--feather", type=_number, default=FEATHER, help=f"width of its soft edge (default {FEATHER})")
    sub.add_argument("--grain", type=_number, default=0.0, help="how much of the photo's grain the toon is given, 0 to 1")
    sub.add_argument("--whole", action="store_true", help="draw the rest of the picture too, in clean lines")
    sub.add_argument("--grid", action="store_true", help="also one picture of every swap point")
    sub.add_argument("--color-match", type=_number, default=0.0, help="0 keeps the toon's colours, 1 takes the photo's")
    _precision(sub)
    _inversion(sub)
    sub.set_defaults(quality=None)  # quick from an encoder, else standard
    _out_folder(sub)


def _transfer(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("photo", type=Path)
    sub.add_argument("--model", default="dualstylegan", help="DualStyleGAN file (default: the built-in)")
    sub.add_argument("--styles", default="styles", help="bank of style codes (default: the built-in)")
    sub.add_argument("--style", default="0", help='number or name, or several such as "0, 5-8" (default 0)')
    sub.add_argument("--structure", type=_number, default=0.75, help="weight of the style's shapes (default 0.75)")
    sub.add_argument("--color-weight", type=_number, default=1.0, help="weight of its colors (default 1)")
    sub.add_argument("--weights", default="", help='every weight, such as "[4*0, 3*0.75, 11*1]", in place of the two')
    sub.add_argument("--color", choices=("exemplar", "photo", "photo-toned"), default="exemplar", help="whose colors")
    sub.add_argument("--encoder", help="encoder file or built-in: latents at once, in place of an inversion")
    _precision(sub)
    _inversion(sub)
    _out_folder(sub)


def _model(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("model", help="model file, or a built-in's name such as base")


def _class(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--class", type=int, dest="label", help="class of a conditional model")


def _part(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--weights", choices=tuple(PARTS), default="ema", help="which network of the file (default ema)")
    sub.add_argument("--resolution", type=int, help="pixels, for a rosinality StyleGAN1 whose file does not tell its size")


def _inversion(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--space", choices=SPACES, default="w+")
    sub.add_argument("--quality", choices=tuple(PRESETS), default="standard")
    sub.add_argument("--steps", type=int, help="in place of the quality's number")
    sub.add_argument("--seed", type=_seed, default=0)


def _out_folder(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", type=Path, default=Path("output"), help="folder for the results (default: output)")
    _overwrite(sub)
    _device(sub)


def _overwrite(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--overwrite", action="store_true", help="replace existing files")


def _precision(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--precision", choices=PRECISIONS, default="float32",
                     help="of the convolutions; auto: half where the device has it, once it proved harmless and faster")


def _device(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--device", default="cpu", help="such as cpu, cuda, mps (default cpu)")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no finite number")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text[:40]} is no seed from 0 to {MAX_SEED}")
    return value


def _seeds(text: str) -> list[int]:
    """Each once: a picture is named after its seed."""
    return list(dict.fromkeys(_indices(text)))


def _indices(text: str) -> list[int]:
    try:
        return parse_indices(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(str(error)) from error


COMMANDS: tuple[tuple[str, str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]], ...] = (
    ("info", "what a model file (or every one in a folder) holds, without building it", _info, commands.info),
    ("convert", "any known model file -> safetensors", _convert, commands.convert),
    ("generate", "pictures from seeds", _generate, commands.generate),
    ("blend", "two related models -> one, by resolution", _blend, commands.blend),
    ("invert", "a photograph -> latents and their picture", _invert, commands.invert),
    ("tune", "a face and its latents -> a small delta that makes the model draw that very face", _tune, commands.tune),
    ("toonify", "a photograph, or each of a folder -> the same with its face as a toon", _toonify, commands.toonify),
    ("train", "unpaired pictures -> a child of a generator that draws like them", training.add_train, training.train),
    ("train-encoder", "an encoder for a generator, from its own samples", training.add_train_encoder, training.fit_encoder),
    ("score", "FID, KID and the like of a generator, each by its network's name", training.add_score, training.score),
    ("train-dual", "drawings of one style -> a DualStyleGAN, its styles and a sampler", dual_training.add_train_dual,
     dual_training.run_train_dual),
    ("train-sampler", "a bank of styles -> a sampler of styles like them", dual_training.add_train_sampler,
     dual_training.run_train_sampler),
    ("transfer", "a photograph -> the same in the style of an exemplar (DualStyleGAN)", _transfer, commands.transfer),
)
"""Name, what it does, what adds its arguments, what runs it."""
