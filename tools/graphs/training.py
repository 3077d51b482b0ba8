"""A style of one's own: from pairs, from drawings, from one drawing; and how a model is measured."""

from __future__ import annotations

from .parts import DRAWINGS, Group, Node, Out, encoder, found, loader, note, photo, save

BASE = loader("base", "base-256")


def faces(key: str, model: str) -> list[Node]:
    """Four faces of a model, drawn from the same seeds whatever the model."""
    return [Node(f"codes_{key}", "AtelierSampleLatents",
                 {"model": Out(model), "seed": 500, "batch_size": 4, "truncation_psi": 0.7}),
            Node(key, "AtelierGenerateImage", {"model": Out(model), "latents": Out(f"codes_{key}")})]


def transfer(key: str, latents: Out, style: Out) -> Node:
    return Node(key, "AtelierTransferExemplarStyle",
                {"model": Out("learn"), "latents": latents, "style": style, "structure_weight": 1.0})


def mixed(key: str, first: str, second: str, mode: str, share: float = 1.0) -> Node:
    return Node(key, "ImageBlend",
                {"image1": Out(first), "image2": Out(second), "blend_factor": share, "blend_mode": mode})


DISTILL_A_LOOK = [
    Group("1 Faces of the base", [
        note("## Distill a look\nWhatever the nodes in the middle make of a face, the model learns to draw at once. Here they "
             "are ComfyUI's own: ink lines over a wash of color. Put any of yours in their place: a diffusion img2img, a "
             "filter, *Finish*. Keep eyes and mouth where they were. More faces and steps come nearer."),
        BASE,
        Node("pairs", "AtelierSampleTrainingPairs", {"model": Out("base"), "count": 32, "psi": 0.7})]),
    Group("2 Your look", [
        Node("gray", "ImageRGBToYUV", {"image": Out("pairs")}),
        Node("calm", "ImageBlur", {"image": Out("gray"), "blur_radius": 2, "sigma": 0.8}),
        Node("around", "ImageBlur", {"image": Out("calm"), "blur_radius": 10, "sigma": 6.0}),
        mixed("darker", "around", "calm", "difference"),
        Node("lines", "ImageInvert", {"image": Out("darker")}),
        mixed("strong", "lines", "lines", "multiply"),
        mixed("stronger", "strong", "strong", "multiply"),
        mixed("ink", "stronger", "stronger", "multiply")]),
    Group("3 Its colors", [
        Node("soft", "ImageBlur", {"image": Out("pairs"), "blur_radius": 6, "sigma": 3.0}),
        mixed("light", "soft", "soft", "screen"),
        mixed("wash", "light", "light", "screen"),
        mixed("look", "wash", "ink", "multiply")]),
    Group("4 Learn it", [
        Node("learn", "AtelierFineTuneOnPairs",
             {"model": Out("base"), "latents": Out("pairs", 1), "targets": Out("look"), "steps": 160, "layers": "32-",
              "rate": 0.001, "lpips": 0.5}),
        Node("keep", "AtelierSaveStyleGAN", {"model": Out("learn"), "name": "distilled_look"})]),
    Group("5 Faces it never saw", [*faces("drawn", "learn"), save("save_drawn", Out("drawn"), "distill/drawn"),
                                   save("save_sheet", Out("learn", 1), "distill/comparison")]),
]

TRAIN_YOUR_STYLE = [
    Group("1 Your drawings", [
        note("## Train your style\nPut a folder or zip of 100 to 500 drawings into ComfyUI/input and write its name into "
             "**folder**. Forty small portraits (Toon Head by Johan Melin, CC BY 4.0) are there to try it. The sheet shows "
             "what will be learnt from."),
        Node("data", "AtelierTrainingData", {"folder": DRAWINGS, "resolution": "128", "licence": "CC BY 4.0"}),
        save("save_data", Out("data", 1), "train_your_style/data")]),
    Group("2 Train", [
        BASE,
        Node("options", "AtelierTrainingOptions", {}),
        Node("learn", "AtelierFineTuneStyleGAN",
             {"model": Out("base"), "data": Out("data"), "options": Out("options"), "preset": "quick", "run": "my_style"}),
        Node("curves", "AtelierTrainingCurves", {"run": "my_style", "after": Out("learn")})]),
    Group("3 Blend and save", [
        Node("blend", "AtelierBlendStyleGANsByResolution",
             {"base": Out("base"), "other": Out("learn"), "swap_at": "32", "coarse": "other"}),
        *faces("drawn", "blend"),
        Node("keep", "AtelierSaveStyleGAN", {"model": Out("learn"), "name": "my_style"})]),
    Group("4 Results", [save("save_samples", Out("learn", 1), "train_your_style/samples"),
                        save("save_curves", Out("curves"), "train_your_style/curves"),
                        save("save_drawn", Out("drawn"), "train_your_style/blend")]),
]

TRAIN_DUAL_STYLE = [
    Group("1 Your drawings", [
        note("## Train a DualStyleGAN\nDrawings of one style, 100 to 300 are best, become a model, a bank of their styles and "
             "a sampler of new ones. The preset *draft* is for a first look on a small machine: *What it gave up* says what "
             "that costs. Take *small* for a night on a CPU, *published* for a GPU. After a Cancel, Run goes on where it "
             "stopped."),
        Node("data", "AtelierTrainingData", {"folder": DRAWINGS, "resolution": "256", "licence": "CC BY 4.0"}),
        save("save_data", Out("data", 1), "train_dual_style/1_drawings")]),
    Group("2 Learn the styles", [
        BASE, encoder(),
        Node("learn", "AtelierTrainDualStyleGAN",
             {"base": Out("base"), "encoder": Out("encoder"), "data": Out("data"), "preset": "draft", "run": "my_dual"})]),
    Group("3 What it learnt", [
        Node("told", "PreviewAny", {"source": Out("learn", 5)}, "What it gave up"),
        save("save_preview", Out("learn", 4), "train_dual_style/2_faces_and_styles"),
        Node("keep_model", "AtelierSaveStyleGAN", {"model": Out("learn"), "name": "my_dual"}),
        Node("keep_bank", "AtelierSaveStyleCodes", {"styles": Out("learn", 1), "name": "my_dual_styles"})]),
    Group("4 New styles like them", [
        Node("sampler", "AtelierTrainStyleSampler", {"model": Out("learn"), "styles": Out("learn", 1), "epochs": 200}),
        Node("free", "AtelierSampleStyle", {"sampler": Out("sampler"), "seed": 1, "batch_size": 4})]),
    Group("5 Your picture", [photo(), *found(Out("base"), polish=False)]),
    Group("6 In the drawings' styles", [
        Node("pick", "AtelierPickStyle", {"styles": Out("learn", 1), "which": "0, 2, 4, 6", "model": Out("learn")}),
        transfer("drawn", Out("encode"), Out("pick")), save("save_drawn", Out("drawn"), "train_dual_style/3_drawn")]),
    Group("7 In new styles", [transfer("new", Out("encode"), Out("free")),
                              save("save_new", Out("new"), "train_dual_style/4_new")]),
]

STYLE_FROM_ONE_DRAWING = [
    Group("1 One drawing", [
        note("## A style from one drawing\nWrite the name of a picture in ComfyUI/input into **folder**: a face, cut as "
             "the model's faces are (*Align Faces* does it). **structure** *kept*: faces keep their shapes; *taken*: they "
             "take the drawing's. 60 steps leave much of the person, 200 little."),
        Node("data", "AtelierTrainingData",
             {"folder": f"{DRAWINGS}/toonhead_10.png", "resolution": "256", "licence": "CC BY 4.0"})]),
    Group("2 Learn it", [
        BASE,
        Node("learn", "AtelierFineTuneStyleGAN",
             {"model": Out("base"), "data": Out("data"), "preset": "one drawing", "run": "one_drawing", "structure": "taken",
              "steps": 60}),
        Node("keep", "AtelierSaveStyleGAN", {"model": Out("learn"), "name": "one_drawing"})]),
    Group("3 Faces in its style", [*faces("drawn", "learn"), save("save_drawn", Out("drawn"), "one_drawing/drawn"),
                                   save("save_samples", Out("learn", 1), "one_drawing/samples")]),
]

SCORE_A_MODEL = [
    Group("1 A model and real pictures", [
        note("## Score a model\nHow near does base-256 draw to its parent? Its parent's faces stand for real pictures here; "
             "link your own in their place. The numbers carry the name of the network they were taken over: FID and KID need "
             "Inception's weights in models/stylegan_metrics."),
        BASE, loader("parent", "base"),
        Node("real", "AtelierSampleTrainingPairs", {"model": Out("parent"), "count": 48, "psi": 1.0, "seed": 9000})]),
    Group("2 Near to real ones?", [
        Node("fid", "AtelierFID", {"model": Out("base"), "images": Out("real"), "count": 48}),
        save("save_fid", Out("fid"), "score/fid")]),
    Group("3 A smooth space?", [
        Node("ppl", "AtelierPerceptualPathLength", {"model": Out("base"), "count": 24}),
        save("save_ppl", Out("ppl"), "score/ppl")]),
    Group("4 Straight attributes?", [
        Node("ls", "AtelierLinearSeparability", {"model": Out("base"), "count": 1200}),
        save("save_ls", Out("ls"), "score/separability")]),
]
