"""Two iterations of DualStyleGAN's stages II and III by the published programs' float64 numbers.

Everything is read from the folders: weights and inputs by rule, draws, losses, the gradient norm of every tensor at every
optimizer step, tensors after the updates.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from stylegan_core.latents import mix
from stylegan_core.losses.features import Features
from stylegan_core.losses.identity import ArcFaceLoss
from stylegan_core.networks.dualstylegan import DualStyleGAN
from stylegan_core.pictures.files import read_image
from stylegan_core.training.dual import DUAL_TRAINING, DualInputs, DualTrainer, DualWeights
from tests.conftest import Golden
from tests.core.training.golden import folder, off
from tests.rule import fill_all, keys_of, network, normal

pytestmark = pytest.mark.slow
DOUBLE = torch.float64


@dataclass
class Published:
    """A stage's folder, its networks and what a step of it needs."""

    case: Golden
    trainer: DualTrainer
    names: dict[str, dict[str, str]]
    """Tag -> published name -> ours."""

    @property
    def dual(self) -> DualStyleGAN:
        return self.trainer.G

    def draw(self, name: str) -> Tensor:
        return self.case.tensor(name).double()

    def w(self, name: str) -> Tensor:
        """A drawn z as rows of w, one code for all."""
        return self.dual.mapping(self.draw(name)).detach()

    def mixed(self, kind: str, first: int, crossover: int) -> Tensor:
        return mix(self.w(f"draw.{kind}.{first}"), self.w(f"draw.{kind}.{first + 1}"), range(crossover, self.dual.num_ws))

    def reals(self, stem: str, indices: list[int]) -> Tensor:
        return torch.cat([read_image(self.case.file(f"{stem}{i}.png")) for i in indices]).double()

    def path_noise(self, seed: int) -> Tensor:
        side = self.dual.img_resolution
        return normal("draw.pathnoise.0", (len(self.draw("draw.path.0")), 3, side, side), seed).double()

    def check_gradients(self, k: int, tag: str) -> None:
        own = dict((self.trainer.G if tag == "G" else self.trainer.D).named_parameters())
        names = [str(name).removeprefix("D.") for name in self.case.array(f"grad.{k}.{tag}.names")]
        norms = np.maximum(self.case.array(f"grad.{k}.{tag}.norms"), 0)
        assert len(names) == len(self.trainer.parameters(tag))
        found = [float(own[self.names[tag][name]].grad.norm()) for name in names]
        assert np.abs(np.array(found) - norms).max() <= 1e-5 * norms.max(), (k, tag)
        floor = 1e-6 * norms.max()
        assert (np.abs(np.array(found) - norms) / np.maximum(norms, floor)).max() < 1e-4, (k, tag)

    def phase(self, k: int, name: str, inputs: DualInputs) -> float:
        """A phase, its gradients checked against the k-th step."""
        loss = float(self.trainer.run_phase(name, inputs))
        self.check_gradients(k, name[0])
        return loss

    def expected(self, name: str) -> float:
        return float(self.case.array(f"loss.{name}"))

    def check_after(self) -> None:
        for key in self.case.npz_names():
            if not key.startswith("after."):
                continue
            _, which, name = key.split(".", 2)
            if which == "ema" and name.startswith("style."):
                continue  # the published program forgets to average T_s
            own = (self.trainer.G if which == "g" else self.trainer.E).state_dict()[self.names["G"][name]]
            wanted = self.case.tensor(key)
            assert off(own.flatten()[: len(wanted)], wanted) < 1e-5, key


def published(name: str, weights: DualWeights) -> Published:
    case = folder(name)
    manifest = case.json("manifest.json")
    tensors = {tag: fill_all(manifest[tag]) for tag in ("g", "d")}
    dual, discriminator = (network(tensors[tag], dtype=DOUBLE) for tag in ("g", "d"))
    assert isinstance(dual, DualStyleGAN)
    features = Features.vgg({k.removeprefix("vgg19."): t for k, t in fill_all(manifest["vgg19"]).items()}).double()
    identity = ArcFaceLoss(network(fill_all(manifest["id_irse"]), dtype=DOUBLE)).eval() if "id_irse" in manifest else None
    average = copy.deepcopy(dual).requires_grad_(False)
    trainer = DualTrainer(dual, discriminator, average, DUAL_TRAINING, weights, features, identity)
    return Published(case, trainer, {"G": keys_of(tensors["g"]), "D": keys_of(tensors["d"])})


def test_stage_two() -> None:
    text = folder("stage2_tiny").file("README.md").read_text(encoding="utf-8")
    crossover = int(re.search(r"crossover l = (\d+)", text)[1])
    work = published("stage2_tiny", DualWeights(0.1, (0.5, 0.5, 0.5), 0, 0, 0, 0))
    manifest, dual = work.case.json("manifest.json"), work.dual
    state = fill_all(manifest["encoder"]) | {f"decoder.{k.removeprefix('generator.')}": t for k, t in
                                             fill_all(manifest["g"]).items() if k.startswith("generator.")}
    seed = manifest["encoder"]["seed"]
    state["latent_avg"] = normal("latent_avg", (dual.num_ws, dual.w_dim), seed, 0, 0.3)
    encoder = network(state, {"start_from_latent_avg": True, "output_size": dual.img_resolution}, "encoder.pt", DOUBLE)
    step = 0
    for i in range(2):
        z1, z2 = work.w(f"draw.z.{2 * i}"), work.w(f"draw.z.{2 * i + 1}")
        with torch.no_grad():
            target = dual.base.synthesis(mix(z1, z2, range(crossover, dual.num_ws)), "const")
            styled = adaptive_avg_pool2d(dual.base.synthesis(z2, "const"), 256)
            extrinsic = z2 if i else encoder.encode(styled).ws(dual.base)
        inputs = DualInputs(intrinsic=z1, extrinsic=extrinsic, target=target,
                            reals=work.reals("real", [len(z1) * i + j for j in range(len(z1))]))
        assert work.phase(step, "Dmain", inputs) == pytest.approx(work.expected(f"{i}.d"), rel=1e-5)
        if i == 0:
            gain = work.trainer.options.gain("D") * work.trainer.options.r1_gamma / 2
            assert work.phase(step + 1, "Dreg", inputs) / gain == pytest.approx(work.expected("0.r1"), rel=1e-5)
            step += 1
        total = work.phase(step + 1, "Gmain", inputs)
        assert float(work.trainer.losses["perceptual"]) == pytest.approx(work.expected(f"{i}.gr"), rel=1e-5)
        assert total == pytest.approx(0.1 * work.expected(f"{i}.g_adv_unweighted") + work.expected(f"{i}.gr"), rel=1e-5)
        if i == 0:
            path = DualInputs(intrinsic=work.mixed("path", 0, crossover), extrinsic=work.w("draw.pathex.0"),
                              path_noise=work.path_noise(manifest["g"]["seed"]))
            gain = work.trainer.options.gain("G") * work.trainer.options.pl_weight
            assert work.phase(step + 2, "Greg", path) / gain == pytest.approx(work.expected("0.path"), rel=1e-5)
            step += 1
        step += 2
        work.trainer.update_ema(0)
    work.check_after()


def loss_weights(case: Golden) -> DualWeights:
    """The weights that the folder's numbers were made with."""
    value = {name: float(case.array(f"loss.{name}")) for name in
             (f"{i}.{x}" for i in (0, 1) for x in ("sty", "cx_unweighted", "fm_unweighted", "id", "id_unweighted", "l2",
                                                   "l2_unweighted"))}
    table = np.array([[value[f"{i}.cx_unweighted"], value[f"{i}.fm_unweighted"]] for i in (0, 1)])
    contextual, matching = np.linalg.solve(table, [value[f"{i}.sty"] for i in (0, 1)])
    perceptual = float(re.search(r"perc ([\d.]+)", case.file("README.md").read_text(encoding="utf-8"))[1])
    return DualWeights(1.0, (0, 0.5 * perceptual, perceptual), float(contextual), float(matching),
                       value["0.id"] / value["0.id_unweighted"], value["0.l2"] / value["0.l2_unweighted"])


def test_stage_three() -> None:
    case = folder("stage3_tiny")
    work = published("stage3_tiny", loss_weights(case))
    dual, seed, n = work.dual, case.json("manifest.json")["g"]["seed"], len(case.array("exstyles_wplus"))
    instyles, exstyles = (normal(key, (n, dual.num_ws, dual.z_dim), seed).double() for key in ("instyles", "exstyles"))
    codes = dual.mapping.to_w(exstyles).detach()
    assert off(codes, case.array("exstyles_wplus")) < 1e-5
    crossovers, kept = case.array("crossovers").tolist(), dual.num_ws - case.array("draw.normal.0").shape[1]

    def pair(k: int) -> tuple[Tensor, Tensor, Tensor]:
        """Intrinsic rows, extrinsic rows and drawings of the k-th draw."""
        jitter = work.draw(f"draw.normal.{2 * k + 1}")
        chosen = case.array("inds")[k][: len(jitter)].tolist()
        z = torch.cat([instyles[chosen][:, :kept], work.draw(f"draw.normal.{2 * k}")], dim=1)
        return dual.mapping.to_w(z).detach(), codes[chosen] + 0.1 * jitter, work.reals("S", chosen)

    intrinsic, extrinsic, _ = pair(1)
    first = DualInputs(intrinsic=work.mixed("z", 0, crossovers[0]), extrinsic=extrinsic, reals=work.reals("S", [0, 1]))
    assert work.phase(0, "Dmain", first) == pytest.approx(work.expected("0.d"), rel=1e-5)
    gain = work.trainer.options.gain("D") * work.trainer.options.r1_gamma / 2
    assert work.phase(1, "Dreg", first) / gain == pytest.approx(work.expected("0.r1"), rel=1e-5)
    _, extrinsic, style = pair(2)
    step = DualInputs(intrinsic=work.mixed("z", 2, crossovers[1]), content=work.mixed("z", 2, crossovers[2]),
                      extrinsic=extrinsic, style=style)
    work.phase(2, "Gmain", step)
    check_losses(work, 0)
    _, extrinsic, _ = pair(3)
    path = DualInputs(intrinsic=work.mixed("path", 0, crossovers[3]), extrinsic=extrinsic, path_noise=work.path_noise(seed))
    gain = work.trainer.options.gain("G") * work.trainer.options.pl_weight
    assert work.phase(3, "Greg", path) / gain == pytest.approx(work.expected("0.path"), rel=1e-5)
    work.trainer.update_ema(0)

    intrinsic, extrinsic, style = pair(4)
    second = DualInputs(intrinsic=intrinsic, extrinsic=extrinsic, reals=style)
    assert work.phase(4, "Dmain", second) == pytest.approx(work.expected("1.d"), rel=1e-5)
    intrinsic, extrinsic, style = pair(5)
    work.phase(5, "Gmain", DualInputs(intrinsic=intrinsic, extrinsic=extrinsic, style=style, target=style))
    check_losses(work, 1)
    work.trainer.update_ema(0)
    work.check_after()


def check_losses(work: Published, i: int) -> None:
    seen, weights = {k: float(v) for k, v in work.trainer.losses.items()}, work.trainer.weights
    assert seen["contextual"] / weights.contextual == pytest.approx(work.expected(f"{i}.cx_unweighted"), rel=1e-5)
    assert seen["matching"] / weights.matching == pytest.approx(work.expected(f"{i}.fm_unweighted"), rel=1e-5)
    assert seen["identity"] / weights.identity == pytest.approx(work.expected(f"{i}.id_unweighted"), rel=1e-5)
    assert seen["modres"] / weights.modres == pytest.approx(work.expected(f"{i}.l2_unweighted"), rel=1e-5)
    assert seen.get("perceptual", 0.0) == pytest.approx(work.expected(f"{i}.gr"), rel=1e-5)
