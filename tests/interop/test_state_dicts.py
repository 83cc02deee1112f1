"""A network is found in a file however it was wrapped, or refused with its name."""

import argparse
import collections
from functools import cache, partial

import jax
import numpy as np
import pytest
from helpers.refusals import refusal

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

from helpers.torch_blocks import Generator, PatchDiscriminator, randomize  # noqa: E402
from helpers.torch_reference import nchw  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm  # noqa: E402

from pix2pix_jax.config import resolve  # noqa: E402
from pix2pix_jax.gan.networks import make_generator  # noqa: E402
from pix2pix_jax.gan.state import create_state  # noqa: E402
from pix2pix_jax.interop.import_config import config_for_generator  # noqa: E402
from pix2pix_jax.interop.import_weights import ImportOptions, import_weights  # noqa: E402
from pix2pix_jax.interop.weight_reader import read_weights  # noqa: E402
from pix2pix_jax.runs.workdir import Workdir  # noqa: E402

PREFIX = "model.model.0"


def generator(**options):
    return randomize(Generator(**{"depth": 5, "features": 4} | options))


def prefixed(network, prefix):
    state = network if isinstance(network, dict) else network.state_dict()
    return {f"{prefix}{name}": value for name, value in state.items()}


def discriminator():
    return randomize(PatchDiscriminator(features=4))


class Odd:
    """A class that the reader does not know, with attributes."""

    def __init__(self):
        self.parent, self.value = self, [1]


def lightning(network):
    """A checkpoint of Lightning: networks in one state dict, with much beside them."""
    state = prefixed(network, "netG.") | prefixed(discriminator(), "netD.")
    optimizer = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()
    optimizer.step()
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": collections.OrderedDict(state),
        "optimizer_states": [optimizer.state_dict()],
        "hyper_parameters": argparse.Namespace(lr=2e-4, odd=Odd(), sizes={1, 2}),
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
    }


def networks(network):
    return {
        "generator": network.state_dict(),
        "discriminator": discriminator().state_dict(),
        "step": torch.tensor(3),
    }


WRAPPED = {
    "torch.compile": lambda g: prefixed(g, "_orig_mod."),
    "compiled, then on several devices": lambda g: prefixed(g, "module._orig_mod."),
    "on several devices, then compiled": lambda g: prefixed(g, "_orig_mod.module."),
    "a part that was compiled": lambda g: {
        name.replace("model.model.", "model._orig_mod.model."): value
        for name, value in g.state_dict().items()
    },
    "fully sharded": lambda g: prefixed(
        g, "_fsdp_wrapped_module._fpw_module.".partition("_fpw")[0]
    ),
    "an average of weights": lambda g: prefixed(g, "module.") | {"n_averaged": torch.tensor(7)},
    "torch.optim.swa_utils": lambda g: torch.optim.swa_utils.AveragedModel(g).state_dict(),
    "a Lightning checkpoint": lightning,
    "an attribute of any name": lambda g: prefixed(g, "model."),
    "the attribute model alone": lambda g: g.model.state_dict(),
    "the attribute model of a compiled network": lambda g: prefixed(g.model, "net._orig_mod."),
    "double precision": lambda g: {
        name: value.double() if value.is_floating_point() else value
        for name, value in g.state_dict().items()
    },
    "an attribute generator": lambda g: prefixed(g, "pix2pix.generator."),
    "a dict of networks": networks,
    "nested dicts": lambda g: {"a": {"b": {"state_dict": prefixed(g, "module.")}}, "opt": None},
    "a list": lambda g: [g.state_dict(), discriminator().state_dict()],
    "the same network twice": lambda g: {"net": g.state_dict(), "copy": g.state_dict()},
    "a whole network": lambda g: g,
    "a whole network on several devices": lambda g: {"net": torch.nn.DataParallel(g)},
}


@cache
def template(config):
    return jax.eval_shape(lambda: create_state(config)).generator.params


@partial(jax.jit, static_argnums=0)
def apply(module, params, images):
    return module.apply({"params": params}, images)


def check_same_output(path, network):
    """Reads the generator in a file, compares it with PyTorch, and returns its WeightFile."""
    weights = read_weights(path, "generator")
    config = resolve(config_for_generator(weights, None))
    params = weights.fit_to(template(config), config.model)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    with torch.no_grad():
        expected = network(nchw(x)).numpy().transpose(0, 2, 3, 1)
    assert expected.std() > 0.02
    np.testing.assert_allclose(apply(make_generator(config), params, x), expected, atol=2e-5)
    return weights


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_generator_has_the_outputs_of_pytorch(tmp_path, name):
    network, path = generator(), tmp_path / "G.pth"
    torch.save(WRAPPED[name](network), path)
    check_same_output(path, network)


@pytest.mark.parametrize("name", ["a Lightning checkpoint", "a list", "a whole network"])
def test_a_wrapped_generator_in_an_old_file_has_the_outputs_of_pytorch(tmp_path, name):
    network, path = generator(), tmp_path / "G.pth"
    torch.save(WRAPPED[name](network), path, _use_new_zipfile_serialization=False)
    check_same_output(path, network)


def test_a_wrapped_generator_in_safetensors_is_read(tmp_path):
    network = generator()
    save_file(prefixed(network, "netG._orig_mod."), tmp_path / "G.safetensors")
    weights = check_same_output(tmp_path / "G.safetensors", network)
    assert weights.notes == (f"the generator is at netG in {tmp_path / 'G.safetensors'}",)
    (tmp_path / "G.safetensors").rename(tmp_path / "G.pth")  # The content decides.
    check_same_output(tmp_path / "G.pth", network)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("frozen", [False, True])
def test_a_program_of_torchscript_is_read_unless_its_weights_are_constants(tmp_path, frozen):
    network = generator().eval()
    program = torch.jit.trace(network, torch.zeros(1, 3, 32, 32), check_trace=False)
    (torch.jit.freeze(program) if frozen else program).save(tmp_path / "G.pt")
    if frozen:
        message = refusal(read_weights, tmp_path / "G.pt", "generator")
        assert "contains a whole __torch__" in message
    else:
        check_same_output(tmp_path / "G.pt", network.train())


def on_convolutions(network, change):
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            change(module)
    network(torch.zeros(1, 3, 32, 32))  # The spectral norms take a step.
    return network


CHANGES = {
    "spectral norm": spectral_norm,
    "parametrized spectral norm": parametrizations.spectral_norm,
    "weight norm": weight_norm,
    "weight norm of the whole layer": lambda module: weight_norm(module, dim=None),
    "parametrized weight norm": parametrizations.weight_norm,
    "pruning": lambda module: prune.random_unstructured(module, "weight", 0.3),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CHANGES)
def test_a_weight_is_computed_from_its_parametrization_as_in_pytorch(tmp_path, name):
    network = on_convolutions(generator(norm="none"), CHANGES[name]).eval()
    torch.save(prefixed(network, "module."), tmp_path / "G.pth")
    weights = check_same_output(tmp_path / "G.pth", network)
    kind = name.removeprefix("parametrized ").removesuffix(" of the whole layer")
    expected = (
        f"the {kind} of 10 layers is folded into their weights; training continues without the "
        f"{kind}"
    )
    assert weights.notes == (expected,)


def test_a_parametrization_that_is_not_known_is_refused_with_its_name(tmp_path):
    network = generator(norm="none")
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            parametrize.register_parametrization(module, "weight", torch.nn.Softplus())
    torch.save(network.state_dict(), tmp_path / "G.pth")
    message = refusal(read_weights, tmp_path / "G.pth", "generator")
    assert "has the parametrization model.model." in message
    assert "remove_parametrizations" in message


def test_of_several_generators_one_is_chosen_by_its_place(tmp_path):
    first, average, path = generator(), generator(features=8), tmp_path / "ckpt.pth"
    torch.save({"g": first.state_dict(), "g_ema": prefixed(average, "module.")}, path)
    message = refusal(read_weights, path, "generator")
    assert message == (
        f"{path}: contains 2 generators: g, g_ema; choose one of them by --weights=FILE:g_ema"
    )
    for place, network in (("g", first), ("g_ema", average)):
        check_same_output(tmp_path / f"ckpt.pth:{place}", network)
    assert "has no generator at x; after the colon, give g or g_ema" in refusal(
        read_weights, tmp_path / "ckpt.pth:x", "generator"
    )


def test_the_network_without_a_place_is_chosen_by_a_dot(tmp_path):
    first, average, path = generator(), generator(features=8), tmp_path / "ckpt.pth"
    torch.save(first.state_dict() | prefixed(average, "ema."), path)
    message = refusal(read_weights, path, "generator")
    assert message == (
        f"{path}: contains 2 generators: ., ema; choose one of them by --weights=FILE:ema"
    )
    for place, network in ((".", first), ("ema", average)):
        check_same_output(tmp_path / f"ckpt.pth:{place}", network)


def test_norms_without_running_averages_are_reported(tmp_path):
    """Instance norms with a scale and a shift are computed as in PyTorch; group norms are not."""
    network = generator()
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.BatchNorm2d):
                norm = torch.nn.InstanceNorm2d(child.num_features, affine=True)
                module.set_submodule(name, norm)
    torch.save(randomize(network).state_dict(), tmp_path / "G.pth")
    [note] = check_same_output(tmp_path / "G.pth", network).notes
    assert "have no running averages" in note


def test_a_discriminator_is_found_beside_a_generator(tmp_path):
    torch.save(lightning(generator()), tmp_path / "last.ckpt")
    weights = read_weights(tmp_path / "last.ckpt", "discriminator")
    assert weights.notes == (f"the discriminator is at state_dict.netD in {weights.path}",)
    config = resolve(config_for_generator(read_weights(weights.path, "generator"), None))
    found = weights.discriminator_fields(config)
    assert found["model"] == {
        "discriminator": "patch70", "discriminator_features": 4, "bias": "pytorch",
    }  # fmt: skip


def test_an_import_names_the_discriminator_that_lies_beside_the_generator(tmp_path, capsys):
    path, workdir = tmp_path / "gan 1.pth", Workdir(tmp_path / "run")
    torch.save({"netG": generator().state_dict(), "netD": discriminator().state_dict()}, path)
    import_weights(ImportOptions(path), workdir, {})
    *_, line = capsys.readouterr().out.splitlines()
    assert line == (
        f"{path} also holds a discriminator at netD; to use it, import again with another "
        f"--workdir, and with --discriminator='{path}:netD'"
    )
    import_weights(
        ImportOptions(path, path.with_name("gan 1.pth:netD")), Workdir(tmp_path / "other"), {}
    )
    out = capsys.readouterr().out
    assert "; patch70 discriminator; as in the preset pytorch\n" in out
    assert "also holds" not in out


UNUSUAL = {
    "sparse": (lambda value: value.to_sparse(), "0.weight is a sparse tensor", "to_dense()"),
    "meta": (lambda value: value.to("meta"), "0.weight is a tensor on the device `meta`", ""),
    "float8": (
        lambda value: value.to(torch.float8_e4m3fn),
        "numbers of a type such as float8",
        "float()",
    ),
    "quantized": (
        lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
        "numbers of the type torch.QInt8Storage",
        "dequantize()",
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", UNUSUAL)
def test_tensors_of_unusual_kinds_are_refused_with_the_way_to_save_them(tmp_path, name):
    change, problem, method = UNUSUAL[name]
    state = generator().state_dict().items()
    tensors = {key: change(value) if value.ndim == 4 else value for key, value in state}
    torch.save(tensors, tmp_path / "G.pth")
    message = refusal(read_weights, tmp_path / "G.pth", "generator")
    assert problem in message
    assert f"save with torch.save({{name: value.{method} for" in message or not method


def test_modules_that_share_modules_are_not_walked_forever(tmp_path):
    """The number of paths through such modules doubles at every level."""
    module = torch.nn.Linear(1, 1)
    for _ in range(40):
        outer = torch.nn.Module()
        outer.left = outer.right = module
        module = outer
    torch.save(module, tmp_path / "G.pth")
    assert "not a whole U-Net" in refusal(read_weights, tmp_path / "G.pth", "generator")


FOREIGN = {
    "model.10.conv_block.1.weight": "a ResNet generator (netG resnet_1blocks) of pytorch-CycleGAN-",
    "model.16.conv_block.1.weight": "a ResNet generator of pix2pixHD (netG global)",
    "model1_1.0.weight": "a generator of pix2pixHD (netG local)",
    "synthesis.b4.const": "a StyleGAN",
    "mapping.fc0.weight": "a StyleGAN",
    "g_ema.to_rgb1.conv.weight": "a StyleGAN",
    "control_model.input_blocks.0.0.weight": "a ControlNet",
    "controlnet_cond_embedding.conv_in.weight": "a ControlNet",
    "model.diffusion_model.input_blocks.0.0.weight": "the U-Net of a diffusion model",
    "down_blocks.0.attentions.0.norm.weight": "the U-Net of a diffusion model",
    "unet.lora_A.weight": "LoRA weights of a diffusion model",
    "head_0.norm_0.mlp_shared.0.weight": "a SPADE (GauGAN) generator",
    "scale0_layer0.0.weight": "a multi-scale discriminator of pix2pixHD",
    "inc.double_conv.0.weight": "a U-Net for segmentation",
    "down1.model.0.weight": "an encoder and a decoder of another program",
    "initial_down.0.weight": "an encoder and a decoder of another program",
    "layer1.0.conv1.weight": "a ResNet classifier",
    "features.0.weight": "a VGG classifier",
    "l1.module.weight_bar": "a network with a spectral norm that is computed at every call",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_the_network_of_another_program_is_refused_with_its_name(tmp_path, name):
    torch.save({"state_dict": {name: torch.zeros(2, 2, 1, 1)}}, tmp_path / "G.pth")
    message = refusal(read_weights, tmp_path / "G.pth", "generator")
    assert f"G.pth: contains {FOREIGN[name]}" in message
    assert "not a whole U-Net of the authors' PyTorch code; give the latest_net_G.pth" in message


def test_a_generator_given_as_the_discriminator_is_refused_with_its_name(tmp_path):
    torch.save(generator().state_dict(), tmp_path / "G.pth")
    message = refusal(read_weights, tmp_path / "G.pth", "discriminator")
    assert "contains a U-Net, not a discriminator" in message
    assert "give the latest_net_D.pth" in message


FILES = {
    b"\x89HDF\r\n\x1a\n": "is a Keras or HDF5 file",
    b"version https://git-lfs.github.com/spec/v1\n": "is a pointer of Git LFS",
    b"\n<!DOCTYPE html>": "is a web page",
    b"GGUF\x03": "is a GGUF file",
}


@pytest.mark.parametrize("content", FILES)
def test_a_file_of_another_kind_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "G.pth").write_bytes(content)
    message = refusal(read_weights, tmp_path / "G.pth", "generator")
    assert message.startswith(
        f"{tmp_path / 'G.pth'}: {FILES[content]}, not a .pth file of PyTorch; "
    )
