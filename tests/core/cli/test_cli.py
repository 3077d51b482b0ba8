"""The command line: what it writes, its exit codes, one line for every mistake."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import stylegan_core as sg
from stylegan_core.assets import example_portrait
from stylegan_core.cli import commands, main
from stylegan_core.faces.batch import central_square
from stylegan_core.networks.encoders.compact import CompactEncoder, CompactEncoderConfig
from stylegan_core.networks.generators.mobilestylegan import MobileStyleGAN, MobileStyleGANConfig
from stylegan_core.networks.mapping import MappingConfig
from stylegan_core.pictures.files import write_image

GOLDENS = Path(__file__).parents[2] / "goldens"


def tiny(seed: int, mapping_seed: int = 0) -> MobileStyleGAN:
    with torch.random.fork_rng():
        config = MobileStyleGANConfig(MappingConfig(z_dim=12, w_dim=8, num_ws=5, num_layers=2, hidden_dim=8), (16, 8))
        torch.manual_seed(mapping_seed)
        mapping = MobileStyleGAN(config).mapping
        torch.manual_seed(seed)
        model = MobileStyleGAN(config).eval().requires_grad_(False)
        model.mapping.load_state_dict(mapping.state_dict(), strict=False)
        return model


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {name: str(sg.save(tiny(seed), folder / f"{name}.safetensors")) for name, seed in (("base", 0), ("toon", 1))}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.RandomState(0).randint(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "me.jpg")
    return tmp_path / "me.jpg"


@pytest.fixture
def any_face(monkeypatch) -> None:
    """Noise shows no face; take its central square."""
    def whole(images, size, *_args, **_kwargs):
        crop, transform = central_square(images[0], size)
        from stylegan_core.faces.batch import FacePlace

        return crop[None], [FacePlace(0, transform)]

    monkeypatch.setattr("stylegan_core.cli.commands.take_faces", whole)
    monkeypatch.setattr("stylegan_core.pipeline.take_faces", whole)


def run(*words: object) -> int:
    return main([str(w) for w in words])


def refused(capsys, *words: object, code: int = 1) -> str:
    """The one line of a refusal."""
    assert run(*words) == code
    text = capsys.readouterr().err.strip().splitlines()
    assert len(text) == 1 and "Traceback" not in text[0]
    return text[0]


def test_info_of_a_file_and_of_a_folder(models, capsys, tmp_path) -> None:
    assert run("info", models["base"]) == 0
    assert "MobileStyleGAN, 16 px, 5 styles" in capsys.readouterr().out
    (Path(models["base"]).parent / "broken.pt").write_bytes(b"PK nothing")
    assert run("info", Path(models["base"]).parent) == 0
    out = capsys.readouterr().out
    assert out.count("MobileStyleGAN") == 2 and "broken.pt: " in out
    head, first, second = (line.rstrip() for line in out.splitlines()[:3])
    assert head.split()[:3] == ["file", "kind", "size"] and first.split()[0] == "base.safetensors"
    assert head.index("kind") == first.index("MobileStyleGAN") == second.index("MobileStyleGAN")
    (tmp_path / "empty").mkdir()
    assert "no model file" in refused(capsys, "info", tmp_path / "empty")


def test_the_discriminator_and_the_size_of_a_file(capsys, tmp_path) -> None:
    out = tmp_path / "judge.safetensors"
    assert run("convert", GOLDENS / "ros2_train_tiny/010000.pt", out, "--weights", "discriminator") == 0
    assert sg.load(out).kind == "discriminator"
    small = tmp_path / "small.safetensors"
    assert run("convert", GOLDENS / "ros1_running_tiny/010000.model", small, "--resolution", "32") == 0
    assert sg.load(small).img_resolution == 32
    assert "power of two" in refused(capsys, "info", GOLDENS / "ros1_running_tiny/010000.model", "--resolution", "33")


def test_convert_and_half_precision(models, tmp_path) -> None:
    out = tmp_path / "new.safetensors"
    assert run("convert", models["base"], out, "--half") == 0
    model = sg.load(out)
    assert sg.ModelSignature.of(model) == sg.ModelSignature.of(tiny(0))
    assert out.stat().st_size < 0.7 * Path(models["base"]).stat().st_size


def test_generate_writes_the_seeds_pictures(models, tmp_path) -> None:
    assert run("generate", models["base"], "--seeds", "3,5-7,0", "--psi", 0.5, "--out", tmp_path, "--grid") == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grid.png", *[f"seed{i:04d}.png" for i in (0, 3, 5, 6, 7)]]
    model = tiny(0)
    expected = model.synthesis(model.mapping(sg.sample_z([6], 12), truncation_psi=0.5))
    found = sg.read_image(tmp_path / "seed0006.png")
    assert (found - expected.clamp(-1, 1)).abs().max() < 2 / 255


def test_random_noise_follows_the_seed_not_the_batch(models, tmp_path) -> None:
    for name, seeds in (("a", "0-5"), ("b", "5")):
        assert run("generate", models["base"], "--seeds", seeds, "--noise", "random", "--out", tmp_path / name) == 0
    assert torch.equal(*(sg.read_image(tmp_path / n / "seed0005.png") for n in "ab"))


def test_blend_writes_a_loadable_child(models, tmp_path) -> None:
    out = tmp_path / "mix.safetensors"
    assert run("blend", models["base"], models["toon"], "--resolution", 4, "--mode", "swap", "--out", out) == 0
    mixed, base, toon = sg.load(out), tiny(0), tiny(1)
    assert torch.equal(mixed.synthesis.b4.conv1.weight, toon.synthesis.b4.conv1.weight)
    assert torch.equal(mixed.synthesis.head.weight, base.synthesis.head.weight)


def test_invert_writes_crop_picture_and_latents(models, photo, tmp_path, any_face) -> None:
    assert run("invert", models["base"], photo, "--quality", "draft", "--steps", 2, "--out", tmp_path / "out") == 0
    latents = sg.Latents.load(tmp_path / "out" / "me_latents.safetensors")
    picture = sg.read_image(tmp_path / "out" / "me_inversion.png")
    assert (sg.render(tiny(0), latents).clamp(-1, 1) - picture).abs().max() < 2 / 255
    assert sg.read_image(tmp_path / "out" / "me_crop.png").shape == (1, 3, 16, 16)


def test_what_is_made_names_the_licence_that_it_inherits(models, tmp_path, capsys) -> None:
    child = sg.load(models["toon"])
    sg.save(child, tmp_path / "own.safetensors", {"licence": "CC-BY-4.0"})
    runs = [("blend", models["base"], tmp_path / "own.safetensors", "--out", tmp_path / "b.safetensors"),
            ("convert", tmp_path / "b.safetensors", tmp_path / "c.safetensors"),
            ("generate", tmp_path / "c.safetensors", "--psi", 0, "--out", tmp_path / "out"),
            ("info", tmp_path / "c.safetensors")]
    for words in runs:
        assert main([str(word) for word in words]) == 0
        assert "licence: unknown + CC-BY-4.0" in capsys.readouterr().out, words
    assert main(["generate", str(models["base"]), "--psi", "0", "--out", str(tmp_path / "quiet")]) == 0
    assert "licence" not in capsys.readouterr().out


def test_interrupting_an_inversion_keeps_the_best(models, photo, tmp_path, any_face, monkeypatch, capsys) -> None:
    def stop(bar, i: int, n: int, preview: torch.Tensor) -> None:
        if i == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(commands.Bar, "__call__", stop)
    assert run("invert", models["base"], photo, "--quality", "draft", "--out", tmp_path / "out") == 130
    assert "interrupted" in capsys.readouterr().out
    assert (tmp_path / "out" / "me_latents.safetensors").exists()


def test_toonify_leaves_four_pictures_and_the_grid_on_demand(models, photo, tmp_path, any_face, monkeypatch) -> None:
    words = ("--base", models["base"], "--toon", models["toon"], "--swap", 8, "--quality", "draft", "--steps", 2)
    assert run("toonify", photo, *words, "--out", tmp_path / "out", "--grid") == 0
    names = {p.name.removeprefix("me_") for p in (tmp_path / "out").iterdir()}
    assert names == {"crop.png", "inversion.png", "toon.png", "pasted.png", "grid.png"}
    monkeypatch.setattr(commands, "blend_grid", lambda *_, **__: pytest.fail("nobody asked for a grid"))
    assert run("toonify", photo, *words, "--out", tmp_path / "plain") == 0
    assert {p.name.removeprefix("me_") for p in (tmp_path / "plain").iterdir()} == names - {"grid.png"}
    assert sg.read_image(tmp_path / "out" / "me_pasted.png").shape == (1, 3, 40, 50)


def test_transfer(tmp_path, photo, any_face) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        config = MobileStyleGANConfig(MappingConfig(z_dim=12, w_dim=8, num_ws=11, num_layers=2, hidden_dim=8), (8,) * 4)
        dual = sg.DualStyleGAN.over(MobileStyleGAN(config).eval()).eval().requires_grad_(False)
        bank = sg.Styles.numbered(sg.Latents(torch.randn(2, 11, 8), "w+", dual.base)).bank()
        made_for = sg.ModelSignature.of(dual.base)
        encoder = CompactEncoder(CompactEncoderConfig(11, 8, 8, 8, 4, made_for.mapping_hash, made_for.resolution))
    model, codes = (str(sg.save(x, tmp_path / f"{name}.safetensors")) for x, name in ((dual, "dual"), (bank, "codes")))
    call = ["transfer", str(photo), "--model", model, "--styles", codes, "--steps", "1", "--out", str(tmp_path / "out")]
    assert main([*call, "--style", "style 1", "--structure", "0.5"]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"me_{x}.png" for x in ("crop", "inversion", "styled", "pasted")}
    assert main([*call, "--style", "2", "--overwrite"]) == 1
    path = str(sg.save(encoder, tmp_path / "encoder"))
    assert main([*call, "--style", "1", "--encoder", path, "--overwrite"]) == 0
    crop = central_square(sg.read_image(photo)[0], dual.img_resolution)[0][None]  # the file's is rounded
    base = sg.load(model).base  # from the files, as the command: passes that begin a rounding apart may end elsewhere
    drawn = sg.render(base, sg.encode(sg.load(path), crop, base)).clamp(-1, 1)
    assert (drawn - sg.read_image(tmp_path / "out" / "me_inversion.png")).abs().max() < 0.005
    assert main([*call[:2], "--model", codes, "--styles", codes, "--overwrite", "--out", str(tmp_path / "out")]) == 1


def test_ctrl_c(models, monkeypatch, capsys) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "inspect", stop)
    assert refused(capsys, "info", models["base"], code=130) == "Interrupted."


@pytest.mark.parametrize("words", [[], ["draw"], ["generate"], ["generate", "base", "--psi", "high"],
                                   ["generate", "base", "--psi", "nan"], ["generate", "base", "--seeds", "a-b"],
                                   ["blend", "a", "b"], ["toonify", "x.png", "--swap", "inf"]])
def test_wrong_usage_is_2(words, capsys) -> None:
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_generate_draws_latents_of_a_file(models, tmp_path, capsys) -> None:
    config = MobileStyleGANConfig(MappingConfig(16, 0, 16, 5, 2, 16), (16, 16))  # wide enough for other programs' files
    wide = sg.save(MobileStyleGAN(config), tmp_path / "wide.safetensors")
    base = sg.load(wide)
    codes = sg.Latents(sg.sample_z([3, 4], base.z_dim), "z", base).truncate(base, 0.5)
    ours, theirs = codes.save(tmp_path / "faces"), codes.save(tmp_path / "theirs.npz")
    for file, extra in ((ours, ()), (theirs, ()), (theirs, ("--space", "w+"))):
        out = tmp_path / f"{file.stem}{len(extra)}"
        assert run("generate", wide, "--latents", file, "--out", out, *extra) == 0
        assert sorted(p.name for p in out.iterdir()) == [f"{file.stem}_0000.png", f"{file.stem}_0001.png"]
        drawn = sg.read_image(out / f"{file.stem}_0001.png")
        assert (drawn - sg.render(base, codes.pick(1)).clamp(-1, 1)).abs().max() < 0.01, "as they are, not truncated again"
    capsys.readouterr()
    assert "mapping" in refused(capsys, "generate", models["base"], "--latents", ours, "--out", tmp_path / "no")
    assert run("generate", wide, "--latents", ours, "--seeds", 1) == 2
    assert not (tmp_path / "no").exists()


def test_help_is_0(capsys) -> None:
    assert main(["--help"]) == 0 and "toonify" in capsys.readouterr().out


def test_mistakes_are_one_line(models, photo, tmp_path, capsys) -> None:
    base, text = models["base"], tmp_path / "note.png"
    text.write_text("no picture")
    stranger = sg.save(tiny(3, mapping_seed=9), tmp_path / "stranger.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(Path(base).read_bytes()[:1000])
    out = ("--out", tmp_path / "out")
    for words, expected in (
        (("generate", tmp_path / "none.pt", *out), "does not exist"),
        (("generate", "no_such_builtin", *out), "no_such_builtin"),
        (("generate", tmp_path, *out), "is a folder"),
        (("generate", broken, *out), "broken.safetensors"),
        (("generate", base, "--class", 3, *out), "without classes"),
        (("generate", base, "--seeds=-1", *out), "negative"),
        (("generate", "unread.pt", "--cutoff", -1, *out), "cutoff -1"),
        (("generate", base, "--latents", text, *out), "note.png"),
        (("blend", "unread.pt", "unread.pt", "--width", 0, "--out", tmp_path / "b.safetensors"), "width"),
        (("blend", "unread.pt", "unread.pt", "--strength=-1", "--out", tmp_path / "b.safetensors"), "strength"),
        (("transfer", tmp_path / "none.jpg", "--steps", 0, *out), "steps"),
        (("invert", base, photo, "--no-align", "--class", 3, *out), "without classes"),
        (("generate", base, "--device", "abacus", *out), "abacus"),
        (("invert", base, tmp_path / "none.jpg", *out), "does not exist"),
        (("invert", base, tmp_path, *out), "is a folder"),
        (("invert", base, text, *out), "no picture"),
        (("invert", base, photo, *out), "No face"),
        (("invert", base, photo, "--no-align", *out), "square"),
        (("invert", base, photo, "--steps", 0, *out), "steps"),
        (("toonify", photo, "--base", base, "--toon", models["toon"], *out), "No face"),
        (("toonify", photo, "--color-match", 5, *out), "color_match"),
        (("toonify", photo, "--feather", 0.7, *out), "feather"),
        (("toonify", photo, "--swap", -3, *out), "resolution"),
        (("toonify", photo, "--which", "second", *out), "second"),
        (("blend", base, stranger, "--resolution", 0, "--out", tmp_path / "b.safetensors"), "resolution"),
        (("convert", base, tmp_path / "a.pt"), ".safetensors"),
        (("convert", base, base), "exists already"),
        (("generate", base, "--out", text), "note.png"),
    ):
        assert expected in refused(capsys, *words), words
    assert not any((tmp_path / "out").glob("*"))


OUT = "OUT"
WRITING = {
    "generate": ("generate", "unread.pt", "--out", OUT), "convert": ("convert", "unread.pt", f"{OUT}/a.safetensors"),
    "blend": ("blend", "unread.pt", "unread.pt", "--out", f"{OUT}/a.safetensors"),
    "invert": ("invert", "unread.pt", "unread.png", "--out", OUT),
    "tune": ("tune", "unread.pt", "unread.png", "unread.npz", "--out", OUT),
    "toonify": ("toonify", "unread.png", "--base", "unread.pt", "--out", OUT),
    "toonify a folder": ("toonify", ".", "--base", "unread.pt", "--out", OUT),
    "transfer": ("transfer", "unread.png", "--model", "unread.pt", "--out", OUT),
    "train": ("train", "--data", "unread", "--base", "MODEL", "--out", OUT),
    "train on one": ("train", "--data", "unread.png", "--base", "MODEL", "--preset", "one drawing", "--out", OUT),
    "train-encoder": ("train-encoder", "MODEL", "--out", OUT),
    "train-sampler": ("train-sampler", "unread.pt", f"{OUT}/a.safetensors"),
    "score": ("score", "unread.pt", "--metric", "ppl", "--plot", f"{OUT}/a.png"),
}
"""Every command that writes; nothing of what is unread is there, so that a command that reads first says so."""


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize(("number", "said"), [(28, "full"), (30, "Read-only file system"), (13, "read-only")])
def test_a_place_that_takes_nothing_is_told_before_anything_is_read(name, number, said, models, tmp_path, monkeypatch,
                                                                    capsys) -> None:
    plain = os.open

    def refuse(path: object, *rest: int, **more: int) -> int:
        if ".atelier-" in str(path):
            raise OSError(number, os.strerror(number))
        return plain(path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    words = [str(word).replace(OUT, str(tmp_path / "new")).replace("MODEL", models["base"]) for word in WRITING[name]]
    assert said in refused(capsys, *words)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("place", ["a\0b", "\ud800", "d" * 300, "file"])
def test_a_place_that_cannot_be_is_one_line(name, place, models, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("x")
    words = [str(word).replace(OUT, str(tmp_path / place)).replace("MODEL", models["base"]) for word in WRITING[name]]
    assert "can't be a f" in (said := refused(capsys, *words)) or "is a file" in said


def test_nothing_is_replaced_without_being_told(models, tmp_path, capsys) -> None:
    assert run("generate", models["base"], "--out", tmp_path) == 0
    before = (tmp_path / "seed0000.png").stat().st_mtime_ns
    capsys.readouterr()
    assert "exists already" in refused(capsys, "generate", models["base"], "--out", tmp_path, "--psi", 0)
    assert (tmp_path / "seed0000.png").stat().st_mtime_ns == before
    assert run("generate", models["base"], "--out", tmp_path, "--overwrite") == 0


def test_tune_writes_a_delta_of_the_model(models, tmp_path: Path, photo: Path, any_face) -> None:
    out = tmp_path / "out"
    assert run("invert", models["base"], photo, "--out", out, "--steps", 2) == 0
    crop, codes = out / "me_crop.png", out / "me_latents.safetensors"
    assert run("tune", models["base"], crop, codes, "--out", out, "--steps", 2) == 0
    base = sg.load(models["base"])
    delta = sg.Delta.load(out / "me_delta.safetensors")
    tuned = sg.render(sg.apply_delta(base, delta), sg.Latents.load(codes))
    assert torch.allclose(sg.read_image(out / "me_tuned.png"), tuned.clamp(-1, 1), atol=0.01)


def test_an_interrupted_tuning_keeps_its_best(models, tmp_path: Path, photo: Path, any_face, monkeypatch) -> None:
    assert run("invert", models["base"], photo, "--out", tmp_path, "--steps", 2) == 0

    def press(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.Bar, "__call__", press)
    words = ("tune", models["base"], tmp_path / "me_crop.png", tmp_path / "me_latents.safetensors", "--out", tmp_path)
    assert run(*words, "--steps", 3) == 130
    assert sg.Delta.load(tmp_path / "me_delta.safetensors").notes["steps"] == 1


def test_seeds_of_ten_digits_and_the_same_one_twice(models, tmp_path) -> None:
    assert run("generate", models["base"], "--seeds", "4294967295, 0,0,0", "--out", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["seed0000.png", "seed4294967295.png"]


@pytest.mark.parametrize("words", [
    ("invert", "base", "x.png", "--seed", str(1 << 64)),
    ("invert", "base", "x", "--seed=-1"),
])
def test_seeds_that_are_none_are_wrong_usage(words, capsys) -> None:
    assert run(*words) == 2
    assert "is no seed from 0" in capsys.readouterr().err


def test_a_device_without_numbers_and_names_with_escape_codes(models, capsys, tmp_path) -> None:
    assert "meta" in refused(capsys, "generate", models["base"], "--device", "meta", "--out", tmp_path / "out")
    text = refused(capsys, "info", "no\x1b[31m such\nfile.pt")
    assert text.isprintable() and "file.pt" in text
    assert not (tmp_path / "out").exists(), "a refused command leaves no folder"


def test_a_reader_that_has_enough_ends_the_command_quietly(models) -> None:
    import subprocess

    command = [sys.executable, "-m", "stylegan_core", "info", str(Path(models["base"]).parent)]
    with subprocess.Popen(command, cwd=GOLDENS.parents[1],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stderr
        child.stdout.close()
        assert child.stderr.read() == "" and child.wait(120) == 141


def test_interrupting_the_imports_ends_without_a_traceback() -> None:
    import subprocess

    child = ("import sys, os, signal; sys.argv = ['-m']; signal.signal(signal.SIGINT, signal.default_int_handler); "
             "import stylegan_core; os.kill(os.getpid(), signal.SIGINT)")  # a shell's background jobs inherit it ignored
    done = subprocess.run([sys.executable, "-c", child], cwd=GOLDENS.parents[1], capture_output=True, text=True, timeout=120,
                          check=False)
    assert os.name != "posix" or (done.returncode == 130 and done.stderr == "Interrupted.\n"), done.stderr


def test_latents_of_other_inversions_on_the_command_line(models, photo, tmp_path, capsys) -> None:
    np.save(tmp_path / "w.npy", np.zeros((5, 8), np.float32))
    assert run("info", tmp_path / "w.npy") == 0
    assert "latents in w" in capsys.readouterr().out


def test_a_model_with_classes_on_the_command_line(models, photo, tmp_path, capsys) -> None:
    """Codes of w need no class to be drawn; toonify, which can't tell one, says so before it looks for faces."""
    file = Path(__file__).resolve().parents[2] / "goldens/ada_sg2_cond/network-snapshot-000400.pkl"
    model = sg.load(file)
    codes = sg.Latents(model.mapping(sg.sample_z([1], model.z_dim), torch.eye(model.c_dim)[2:3]), "w+", model)
    codes.save(tmp_path / "codes.safetensors")
    assert run("generate", file, "--latents", tmp_path / "codes.safetensors", "--out", tmp_path) == 0
    drawn = sg.read_image(tmp_path / "codes_0000.png")
    assert torch.allclose(drawn, sg.render(model, codes).clamp(-1, 1), atol=0.01)
    sg.Latents(sg.sample_z([1], model.z_dim), "z", model).save(tmp_path / "z.safetensors")
    capsys.readouterr()
    assert "leave the class out" in refused(capsys, "generate", file, "--latents", tmp_path / "codes.safetensors", "--class", 1,
                                            "--out", tmp_path, "--overwrite")
    assert "5 classes" in refused(capsys, "generate", file, "--latents", tmp_path / "z.safetensors", "--out", tmp_path)
    said = refused(capsys, "toonify", photo, "--base", file, "--toon", file, "--swap", 8, "--encoder", "none", "--out",
                   tmp_path)
    assert "5 classes" in said and "use a base without" in said


def test_an_unaligned_face_is_noted(models, tmp_path, capsys) -> None:
    face = sg.read_image(example_portrait())[..., :500, :500]
    write_image(torch.nn.functional.interpolate(face, size=(256, 256), mode="area"), tmp_path / "face.png")
    assert run("invert", models["base"], tmp_path / "face.png", "--no-align", "--steps", 1, "--out", tmp_path / "out") == 0
    assert "not where an aligned face has it" in capsys.readouterr().out
    out = tmp_path / "out"
    assert run("tune", models["base"], tmp_path / "face.png", out / "face_latents.safetensors", "--steps", 1, "--out", out) == 0
    assert "not where an aligned face has it" in capsys.readouterr().out


def test_closed_outputs_are_no_end(models, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert run("generate", models["base"], "--out", tmp_path) == 0 and (tmp_path / "seed0000.png").is_file()
    assert run("info", tmp_path / "none.pt") == 1


def test_an_output_that_lacks_a_name_s_characters(models, tmp_path, monkeypatch) -> None:
    """Such as a pipe on Windows, whose characters are a country's."""
    (tmp_path / "\u9854").mkdir()
    (tmp_path / "\u9854" / "\u65b0.safetensors").write_bytes(Path(models["base"]).read_bytes())
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="cp1252"))
    assert run("info", tmp_path / "\u9854") == 0
    assert b"\\u65b0.safetensors" in written.getvalue()


def test_ctrl_c_while_the_arguments_are_read(monkeypatch, capsys) -> None:
    """The words of so many commands take a moment to set up."""
    def press() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["stylegan_core.cli.main"], "build_parser", press)  # the package's main is a function
    assert run("info") == 130 and capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_file_whose_name_is_no_text(models, tmp_path, capsys) -> None:
    named = tmp_path / os.fsdecode(b"caf\xe9.safetensors")
    named.write_bytes(Path(models["base"]).read_bytes())
    assert run("convert", named, tmp_path / "new.safetensors") == 0
    assert run("blend", named, models["toon"], "--resolution", 8, "--out", tmp_path / os.fsdecode(b"\xfc.safetensors")) == 0
    assert run("info", tmp_path) == 0 and "\\xfc.safetensors" in capsys.readouterr().out.replace("\\udcfc", "\\xfc")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")
def test_names_that_would_move_a_terminal_are_spelled_out(models, tmp_path, capsys) -> None:
    (tmp_path / "a\x1b[2J\r.safetensors").write_bytes(Path(models["base"]).read_bytes())
    assert run("info", tmp_path) == 0
    told = capsys.readouterr().out
    assert "a\\x1b[2J\\r.safetensors" in told and told.replace("\n", "").isprintable()
