"""Training against the numbers of the published codes (float64)."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pytest
import torch

import stylegan_core as sg
from stylegan_core import training
from stylegan_core.training import AdaController, ProgressiveSchedule, Trainer, process_reals
from stylegan_core.training.augmentation import recolor_images, warp_images
from tests.core.training.golden import folder, heads, inputs, networks, off, off_rows, options, parameters, run_sequence
from tests.rule import normal

LOSSES = [(name, phase) for name in ("train_sg2_losses_nvidia", "train_sg2_losses_ros2")
          for phase in folder(name).json()["phases"]]
STEPS = ["train_sg2_steps_nvidia", "train_sg2_steps_ros2"]
RESUME, GROWING = folder("train_ros2_resume"), folder("train_sg1_progressive")


@pytest.mark.parametrize(("name", "phase"), LOSSES, ids=lambda x: x if isinstance(x, str) else x["tag"])
def test_loss_and_gradients_of_a_phase(name, phase) -> None:
    case, tag = folder(name), phase["tag"]
    info, names = case.json(), case.npz_names()
    g, d, _ = networks(case)
    trainer = Trainer(g, d, None, options(info))
    trainer.pl_mean = torch.tensor(info["pl_mean"], dtype=torch.float64)
    before = parameters(g), parameters(d)
    loss = trainer.run_phase(phase["phase"], inputs(case, tag, phase["phase"], phase["cutoff"], phase["rows"]), step=False)
    assert off(loss, case.array(f"{tag}.loss")) < 1e-6
    trained = dict((g if phase["phase"][0] == "G" else d).named_parameters())
    rows = [trained[n].grad for n in info[f"names_{phase['phase'][0]}"]]
    assert off_rows([0.0 if r is None else float(r.norm()) for r in rows], case.array(f"{tag}.grad.norm")) < 1e-5
    if f"{tag}.pl_mean_after" in names:
        assert off(trainer.pl_mean, case.array(f"{tag}.pl_mean_after")) < 1e-6
    for network, old in zip((g, d), before, strict=True):  # nothing moved
        assert all(torch.equal(p, old[n]) for n, p in network.named_parameters())


@pytest.mark.parametrize("name", ["train_sg2_losses_nvidia", "train_sg2_losses_ros2"])
def test_formulas_alone(name) -> None:
    case = folder(name)
    for phase in case.json()["phases"]:
        tag = phase["tag"]
        if phase["phase"] == "Gmain":
            assert off(training.generator_loss(case.tensor(f"{tag}.scores_fake").double()), case.array(f"{tag}.loss")) < 1e-6
        elif phase["phase"] == "Dmain":
            scores = (case.tensor(f"{tag}.scores_{k}").double() for k in ("real", "fake"))
            assert off(training.discriminator_loss(*scores), case.array(f"{tag}.loss")) < 1e-6


@pytest.mark.parametrize("name", STEPS)
def test_steps(name) -> None:
    case = folder(name)
    info, nets = case.json(), networks(case)
    before = [parameters(net) for net in nets]
    trainer = Trainer(*nets, options(info))
    found = run_sequence(case, trainer)
    assert off(found["losses"], case.array("losses")) < 1e-5 and off(found["pl_mean"], case.array("pl_mean")) < 1e-5
    assert off(found["ema_beta"], case.array("ema_beta")) < 1e-9
    check_weights(case, nets, before)
    if "after.w_avg" in case.npz_names():
        assert off(nets[0].w_avg, case.array("after.w_avg")) < 1e-6
        assert off(nets[2].w_avg, case.array("after.E.w_avg")) < 1e-6


def check_weights(case, nets, before) -> None:
    info = case.json()
    for tag, net, old in zip("GDE", nets, before, strict=True):
        names = info["names_D" if tag == "D" else "names_G"]
        norm, head = heads(net, names)
        assert off(norm, case.array(f"after.{tag}.norm")) < 1e-6 and off(head, case.array(f"after.{tag}.head")) < 1e-6
        norm, head = heads(net, names, old)
        assert off_rows(norm, case.array(f"delta.{tag}.norm")) < 1e-4 and off(head, case.array(f"delta.{tag}.head")) < 1e-3


def test_goes_on_from_a_training_file() -> None:
    info = RESUME.json()
    trainer = Trainer.resume(RESUME.file(info["file"]), options(info), dtype=torch.float64)
    assert trainer.iteration == info["iteration"] and float(trainer.ada_p) == pytest.approx(info["ada_aug_p"])
    nets = trainer.G, trainer.D, trainer.E
    before = [parameters(net) for net in nets]
    assert off(run_sequence(RESUME, trainer)["losses"], RESUME.array("losses")) < 1e-5
    check_weights(RESUME, nets, before)


def test_writes_the_training_file_again(tmp_path) -> None:
    info = RESUME.json()
    file = RESUME.file(info["file"])
    written = Trainer.resume(file, options(info)).save(tmp_path / file.name)
    with torch.serialization.safe_globals([argparse.Namespace]):
        theirs, ours = (torch.load(path, weights_only=True) for path in (file, written))
    assert list(ours) == list(theirs) and vars(ours["args"]) == vars(theirs["args"])
    for part in ("g", "d", "g_ema"):
        assert list(ours[part]) == list(theirs[part]), "in the order that Adam counts in, kernels included"
        for key, tensor in theirs[part].items():
            assert torch.equal(ours[part][key], tensor), key
    for part in ("g_optim", "d_optim"):
        assert ours[part]["param_groups"][0]["params"] == theirs[part]["param_groups"][0]["params"]
        assert ours[part]["param_groups"][0]["betas"] == pytest.approx(theirs[part]["param_groups"][0]["betas"])
        for index, entry in theirs[part]["state"].items():
            for key, tensor in entry.items():
                assert torch.equal(torch.as_tensor(ours[part]["state"][index][key]), tensor), (index, key)
    plain = torch.optim.Adam([torch.zeros_like(entry["exp_avg"]) for entry in ours["g_optim"]["state"].values()])
    plain.load_state_dict(ours["g_optim"])  # as rosinality's code takes it


def test_an_optimizer_of_another_network_is_refused(tmp_path) -> None:
    info = RESUME.json()
    with torch.serialization.safe_globals([argparse.Namespace]):
        tree = torch.load(RESUME.file(info["file"]), weights_only=True)
    for change in (lambda t: t["g_optim"]["state"].pop(3), lambda t: t["d_optim"]["state"][0].update(exp_avg=torch.zeros(2))):
        damaged = {**tree, **{k: {**tree[k], "state": {i: dict(e) for i, e in tree[k]["state"].items()}}
                              for k in ("g_optim", "d_optim")}}
        change(damaged)
        torch.save(damaged, tmp_path / "000001.pt")
        with pytest.raises(sg.LoadError, match="two runs"):
            Trainer.resume(tmp_path / "000001.pt", options(info))


@pytest.mark.parametrize("run", folder("train_ada_controller").json()["runs"], ids=lambda run: run["name"])
def test_ada_controller(run) -> None:
    case, name, nvidia = folder("train_ada_controller"), run["name"], run["convention"] == "nvidia"
    unit = {"images_per_unit": run["kimg"] * 1000, "p": run["p0"]} if nvidia else {"images_per_unit": run["length"]}
    controller, found = AdaController(run["target"], run["interval"], convention=run["convention"], **unit), []
    reg = case.tensor(f"{name}.reg") if nvidia else None
    for i, scores in enumerate(case.tensor(f"{name}.main")):
        controller.observe(scores)
        if reg is not None and i % run["dreg"] == 0:
            controller.observe(reg[i])
        found.append(float(controller.advance(len(scores))))
    assert np.abs(np.array(found) - case.array(f"{name}.p")).max() < 1e-6


@pytest.mark.parametrize("pipe", folder("train_ada_pipe").json()["cases"], ids=lambda c: c["tag"])
def test_augmentations(pipe) -> None:
    case, tag = folder("train_ada_pipe"), pipe["tag"]
    params = {k: case.tensor(f"{tag}.param.{k}").double() for k in pipe["transforms"]}
    images = case.tensor(f"{tag}.images").double()
    assert off(training.apply_augmentations(images, params), case.array(f"{tag}.out")) < 1e-5
    single = training.apply_augmentations(images.float(), {k: v.float() for k, v in params.items()})
    assert off(single, case.array(f"{tag}.out")) < 1e-4


def test_augmentation_with_given_matrices() -> None:
    case = folder("ada_augment")
    images, inverse, color = (case.tensor(k).double() for k in ("img", "G", "C"))
    identity = torch.eye(3, dtype=torch.float64).expand(len(images), 3, 3)
    for name, got in (("affine", warp_images(images, inverse)), ("color", recolor_images(images, color)),
                      ("both", recolor_images(warp_images(images, inverse), color)),
                      ("identity", warp_images(images, identity))):
        assert off(got, case.array(name)) < 1e-4
    controller = AdaController(0.6, 2, 5000, "rosinality")
    for scores, p in zip(case.tensor("preds"), case.array("p_after"), strict=True):
        controller.observe(scores)
        assert float(controller.advance(len(scores))) == pytest.approx(float(p), abs=1e-7)


def test_sampler_steps() -> None:
    case = folder("train_sampler_steps")
    info, counter = case.json(), iter(range(10**6))
    state = {k[7:]: case.tensor(k) for k in case.npz_names() if k.startswith("in.net.")}
    state = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    result = training.train_sampler(
        case.tensor("in.data").double(), state, info["first_epoch"], info["epochs"], info["batch"],
        draw=lambda shape: normal(f"e{next(counter)}", shape, info["seed"]).double(),
        permutations=[case.tensor(f"in.perm{i}") for i in range(info["epochs"])])
    assert off(result.losses, case.array("losses")) < 1e-7 and off(result.lrs, case.array("lrs")) < 1e-12
    for key, value in result.state.items():
        assert off(value.double().norm(), case.array(f"after.{key}.norm")) < 1e-7
        assert off(value.double().reshape(-1)[:32], case.array(f"after.{key}.head")) < 1e-7


@pytest.fixture(scope="module")
def growing():
    return networks(GROWING)[:2]


def grown(g, lod: float, cutoff: int | None) -> torch.Tensor:
    ws = g.mapping(GROWING.tensor("in.z").double())
    if cutoff is not None:
        ws = torch.cat([ws[:, :cutoff], g.mapping(GROWING.tensor("in.z_mix").double())[:, cutoff:]], dim=1)
    return g.synthesis(ws, noise_mode="const", lod=lod)


@pytest.mark.parametrize("case", GROWING.json()["images"], ids=lambda c: c["tag"])
def test_growing_images_and_scores(case, growing) -> None:
    (g, d), tag, lod = growing, case["tag"], case["lod"]
    names = GROWING.npz_names()
    with torch.no_grad():
        images = grown(g, lod, case["cutoff"])
        assert off(images, GROWING.array(f"{tag}.images")) < 1e-5
        if f"{tag}.scores_fake" in names:
            assert off(d(images, lod=lod), GROWING.array(f"{tag}.scores_fake")) < 1e-5
            assert off(d(GROWING.tensor("in.reals").double(), lod=lod), GROWING.array(f"{tag}.scores_real")) < 1e-5
    if f"{tag}.reals" in names:
        assert off(process_reals(GROWING.tensor(f"{tag}.reals_small"), lod), GROWING.array(f"{tag}.reals")) < 1e-6


@pytest.mark.parametrize("case", GROWING.json()["losses"], ids=lambda c: c["tag"])
def test_growing_losses(case, growing) -> None:
    (g, d), tag, info = growing, case["tag"], GROWING.json()

    def scores(x: torch.Tensor) -> torch.Tensor:
        return d(x, lod=case["lod"])

    def logistic(fakes: torch.Tensor) -> torch.Tensor:
        x = reals.clone().requires_grad_(True)
        real_scores = scores(x)
        penalty = training.r1_penalty(real_scores, x)
        assert off(penalty, GROWING.array(f"{tag}.r1")) < 1e-5
        return training.discriminator_loss(real_scores, scores(fakes.detach())) + info["r1_gamma"] / 2 * penalty.mean()

    reals, mix = GROWING.tensor("in.reals").double(), GROWING.tensor("in.mix_factors").double()
    losses = {"G_logistic": lambda x: training.generator_loss(scores(x)), "D_logistic_r1": logistic,
              "G_wgan": lambda x: training.wgan_generator_loss(scores(x)),
              "D_wgan_gp": lambda x: training.wgan_gp_discriminator_loss(scores, reals, x.detach(), mix, info["wgan_lambda"],
                                                                         info["wgan_epsilon"])}
    for network in (g, d):
        network.requires_grad_(True)
    for name, compute in losses.items():
        network = g if name[0] == "G" else d
        network.zero_grad()
        loss = compute(grown(g, case["lod"], case["cutoff"]))
        assert off(loss, GROWING.array(f"{tag}.{name}.loss").mean()) < 1e-5
        loss.backward()
        names, trained = info[f"names_{name[0]}"], dict(network.named_parameters())
        same = [i for i, n in enumerate(names) if name[0] == "D" or not (n.startswith("mapping") and n.endswith("bias"))]
        norms = [0.0 if trained[names[i]].grad is None else float(trained[names[i]].grad.norm()) for i in same]
        assert off_rows(norms, GROWING.array(f"{tag}.{name}.grad.norm")[same]) < 1e-5


def test_w_avg_of_the_growing_generator(growing) -> None:
    from stylegan_core.training import PhaseInputs, TrainOptions

    g, d = (sg.load(GROWING.file(GROWING.json()["file"]), dtype=torch.float64, which=w) for w in ("raw", "discriminator"))
    g.w_avg = GROWING.tensor("w_avg.before").double()
    trainer = Trainer(g, d, None, TrainOptions(G_reg_interval=None, D_reg_interval=None, batch_size=4))
    trainer.run_phase("Gmain", PhaseInputs(z=GROWING.tensor("in.z").double()), step=False)
    assert off(g.w_avg, GROWING.array("w_avg.after")) < 1e-6


def test_schedule() -> None:
    told = GROWING.json()["schedule"]
    settings = {k: {int(a): b for a, b in v.items()} if isinstance(v, dict) else v for k, v in told.items() if k != "columns"}
    schedule = ProgressiveSchedule(**settings)
    table = GROWING.array("schedule")
    for row in table:
        stage = schedule.at(int(row[0]))
        assert [getattr(stage, name) for name in told["columns"][1:]] == pytest.approx(list(row[1:]), rel=1e-9), row[0]
    assert replace(schedule, lod_training_kimg=0, lod_transition_kimg=0).at(5).lod == 7
