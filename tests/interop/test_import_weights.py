"""Imported and exported networks give the same outputs as in PyTorch."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.fields import SMALL_DISCRIMINATOR
from helpers.refusals import refusal

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

from helpers.pth_files import read_pth  # noqa: E402
from helpers.torch_blocks import (  # noqa: E402
    Generator,
    PatchDiscriminator,
    PixelDiscriminator,
    randomize,
)
from helpers.torch_reference import nchw  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from safetensors.torch import save_file as save_torch_file  # noqa: E402

from pix2pix_jax.checkpoints.reader import read_network  # noqa: E402
from pix2pix_jax.config import Config, Model, Train, resolve  # noqa: E402
from pix2pix_jax.config.files import read_config  # noqa: E402
from pix2pix_jax.gan.networks import make_discriminator, make_generator  # noqa: E402
from pix2pix_jax.gan.state import create_state  # noqa: E402
from pix2pix_jax.interop.export import ExportOptions, export  # noqa: E402
from pix2pix_jax.interop.import_weights import ImportOptions, import_weights  # noqa: E402
from pix2pix_jax.interop.pytorch.checks import check_torch_discriminator, check_torch_generator  # noqa: E402
from pix2pix_jax.interop.pytorch.fields import discriminator_fields_from_tensors  # noqa: E402
from pix2pix_jax.interop.pytorch.names import discriminator_names, generator_names  # noqa: E402
from pix2pix_jax.interop.pytorch.tensors import from_torch, to_torch  # noqa: E402
from pix2pix_jax.interop.pytorch.writer import write_pth  # noqa: E402
from pix2pix_jax.interop.weight_reader import read_weights  # noqa: E402
from pix2pix_jax.runs.workdir import Workdir  # noqa: E402


def save_weights(network, path, prefix="", legacy=False):
    state = {prefix + name: value for name, value in network.state_dict().items()}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return path


def import_run(tmp_path, weights, discriminator=None, base=None, **values):
    """The workdir, config and generator parameters of an imported run."""
    workdir = tmp_path / "run"
    import_weights(ImportOptions(weights, discriminator, base), Workdir(workdir), values)
    config = read_config(workdir / "config.json")
    return workdir, config, read_network(Workdir(workdir), config, "newest").params


def image(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


GENERATORS = {
    "unet_256": ({"features": 8}, "", False),
    "unet_128, from several GPUs": ({"depth": 7, "features": 8}, "module.", False),
    "grey, depth 6, ngf 32, an old file": (
        {"inputs": 1, "outputs": 1, "depth": 6, "features": 32},
        "",
        True,
    ),
    "instance norm": ({"depth": 5, "features": 8, "norm": "instance", "inputs": 4}, "", False),
    "no norm": ({"depth": 5, "features": 8, "norm": "none", "outputs": 1}, "", False),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_an_imported_generator_translates_as_in_pytorch(tmp_path, name):
    options, prefix, legacy = GENERATORS[name]
    network = randomize(Generator(**options))
    weights = save_weights(network, tmp_path / "latest_net_G.pth", prefix, legacy)
    _, config, params = import_run(tmp_path, weights, **SMALL_DISCRIMINATOR)
    depth, inputs = options.get("depth", 8), options.get("inputs", 3)
    assert config.data.image_size == (2**depth, 2**depth)
    assert (config.model.depth, config.model.features) == (depth, options["features"])
    assert config.model.norm == options.get("norm", "batch")
    assert (config.model.dropout, config.model.dropout_blocks) == (0.5, "middle")
    for side in (2**depth, 2 ** (depth + 1)) if depth < 8 else (2**depth,):
        x = image(1, side, side, inputs)
        with torch.no_grad():
            expected = network(nchw(x)).numpy().transpose(0, 2, 3, 1)
        found = jax.jit(make_generator(config).apply)({"params": params}, x)
        assert expected.std() > 0.02
        np.testing.assert_allclose(found, expected, atol=2e-5)


DISCRIMINATORS = {
    "patch16": PatchDiscriminator(layers=1, features=8),
    "patch34": PatchDiscriminator(layers=2, features=8),
    "patch70": PatchDiscriminator(features=8),
    "patch142": PatchDiscriminator(layers=4, features=4),
    "image286": PatchDiscriminator(layers=5, features=4),
    "pixel": PixelDiscriminator(features=8),
}


def import_discriminator(tmp_path, network, **generator):
    """The config and parameters of an imported discriminator."""
    weights = save_weights(
        randomize(Generator(depth=7, features=4, **generator)), tmp_path / "G.pth"
    )
    path = save_weights(randomize(network), tmp_path / "D.pth", "module.")
    tensors = read_weights(path, "discriminator").tensors
    import_run(tmp_path, weights, tmp_path / "D.pth")
    config = read_config(tmp_path / "run" / "config.json")
    template = jax.eval_shape(lambda: create_state(config)).discriminator.params
    names = discriminator_names(config.model.discriminator)
    return config, from_torch(tensors, names, template, config.model)


def check_same_logits(config, params, network, x):
    with torch.no_grad():
        expected = network(nchw(x)).numpy().transpose(0, 2, 3, 1)
    found = jax.jit(make_discriminator(config).apply)({"params": params}, x)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_an_imported_discriminator_computes_the_same_logits_as_in_pytorch(tmp_path, name):
    network = DISCRIMINATORS[name]
    config, params = import_discriminator(tmp_path, network)
    assert config.model.discriminator == name
    assert config.loss.conditional
    check_same_logits(config, params, network, image(1, 128, 128, 6))


def test_an_unconditional_discriminator_with_instance_norm_has_the_logits_of_pytorch(tmp_path):
    network = PatchDiscriminator(channels=3, features=8, layers=2, norm="instance")
    config, params = import_discriminator(tmp_path, network, norm="instance")
    assert not config.loss.conditional
    check_same_logits(config, params, network, image(1, 128, 128, 3))


def test_exported_files_load_strictly_in_pytorch(tmp_path):
    """Import and export keep every bit of every tensor; only running averages are new."""
    for norm in ("batch", "instance", "none"):
        for network, names in (
            (Generator(depth=5, features=4, norm=norm), generator_names(5)),
            (PatchDiscriminator(features=4, norm=norm), discriminator_names("patch70")),
            (PixelDiscriminator(features=4, norm=norm), discriminator_names("pixel")),
        ):
            state = read_pth(save_weights(randomize(network), tmp_path / "in.pth"))
            config = config_like(norm, network)
            template = jax.eval_shape(lambda config=config: create_state(config))
            is_generator = isinstance(network, Generator)
            target = template.generator if is_generator else template.discriminator
            ours = from_torch(state, names, target.params, config.model)
            back = to_torch(ours, names, config.model)
            write_pth(tmp_path / "out.pth", back)
            for weights_only in (True, False):
                loaded = torch.load(tmp_path / "out.pth", weights_only=weights_only)
                network.load_state_dict(loaded, strict=True)
            for name, value in loaded.items():
                assert value.numpy().dtype == state[name].dtype
                if "running" not in name and "tracked" not in name:
                    np.testing.assert_array_equal(value.numpy(), state[name])


def config_like(norm, network):
    config = Config()
    discriminator = "pixel" if isinstance(network, PixelDiscriminator) else "patch70"
    model = replace(
        config.model, features=4, depth=5, norm=norm, discriminator_features=4,
        norm_affine=norm != "instance", bias="all" if norm == "instance" else "pytorch",
        bottleneck_norm=False, discriminator=discriminator,
    )  # fmt: skip
    return resolve(replace(config, model=model, data=replace(config.data, image_size=(64, 64))))


def test_an_experiment_and_flags_set_the_fields_that_weights_do_not_determine(tmp_path):
    weights = save_weights(randomize(Generator(depth=5, features=4)), tmp_path / "G.pth")
    fields = {"data.direction": "BtoA", "model.discriminator": "patch16", "model.dropout": "0"}
    _, config, _ = import_run(tmp_path, weights, None, Config(seed=7), **fields)
    assert (config.seed, config.data.direction, config.model.dropout) == (7, "BtoA", 0)
    assert (config.model.discriminator, config.model.depth) == ("patch16", 5)
    assert config.data.image_size == (
        256,
        256,
    )  # The experiment has this size; the tensors do not determine a size.
    assert "already has a run" in refusal(
        import_weights, ImportOptions(weights), Workdir(tmp_path / "run"), {}
    )


def import_and_read_line(tmp_path, capsys, weights, base=None, **fields):
    """The line that an import into a new workdir prints."""
    import_weights(ImportOptions(weights, base=base), Workdir(tmp_path / "new"), fields)
    return capsys.readouterr().out.strip()


def test_the_line_of_an_import_says_where_the_fields_come_from_and_how_to_change_them(
    tmp_path, capsys
):
    weights = save_weights(randomize(Generator(depth=5, features=4)), tmp_path / "G.pth")
    line = import_and_read_line(tmp_path, capsys, weights)
    assert "direction AtoB, 32x32 images (height x width), dropout 0.5: guessed, because " in line
    assert f"guessed, because {weights} has no config, and no train_opt.txt is used; the " in line
    assert "size is the one at which the bottleneck of this U-Net is 1x1; to change these" in line
    assert "a new patch70 discriminator; as in the preset pytorch\n" in line
    assert "import again with another --workdir, and with --config.data.direction=BtoA, " in line
    assert "to train or translate at" not in line
    shutil.rmtree(tmp_path / "new")
    line = import_and_read_line(tmp_path, capsys, weights, Config())
    assert "direction AtoB, 256x256 images (height x width), dropout 0.5: taken from the " in line
    assert "taken from the experiment; to change these" in line
    assert f"the generator in {weights} has depth 5 and was probably trained at 32x32" in line
    assert line.endswith("and --config.data.image_size=32,32")


def test_an_imported_run_starts_from_no_other_run(tmp_path):
    """The run that exported the weights may have started from another run."""
    weights = save_weights(randomize(Generator(depth=5, features=4)), tmp_path / "G.pth")
    workdir = Workdir(tmp_path / "new")
    flag = {"train.init": "runs/other"}
    message = refusal(import_weights, ImportOptions(weights), workdir, flag)
    assert message.startswith("--config.train.init: an imported run starts from the weights of its")
    import_weights(ImportOptions(weights, base=Config(train=Train(init="runs/other"))), workdir, {})
    assert read_config(workdir.config_file).train.init is None


def test_an_import_says_that_the_file_has_a_config_of_its_own(tmp_path, capsys):
    pth = save_weights(randomize(Generator(depth=5, features=4)), tmp_path / "G.pth")
    _, config, _ = import_run(tmp_path, pth, **SMALL_DISCRIMINATOR, **{"data.direction": "BtoA"})
    weights = tmp_path / "G.safetensors"
    export(config, Workdir(tmp_path / "run"), ExportOptions(weights))
    line = import_and_read_line(tmp_path, capsys, weights)
    assert "direction BtoA, 32x32 images (height x width), dropout " in line
    assert f": taken from the config in {weights}; to change these" in line
    assert "--config.data.direction=AtoB" in line
    shutil.rmtree(tmp_path / "new")
    line = import_and_read_line(tmp_path, capsys, weights, Config())
    assert f"the generator in {weights} was trained at 32x32; to train or translate at" in line
    fields = {"data.load_size": "20,20"}  # the config in the file has data.image_size (32, 32)
    message = refusal(import_weights, ImportOptions(weights), Workdir(tmp_path / "other"), fields)
    assert "give --config.data.load_size=None" in message
    assert message.endswith(f"keep the values of the config in {weights}")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model.depth": "4", "model.dropout": "0"}, "leave out --config.model.depth"),
        ({"model.features": "8"}, "leave out --config.model.features"),
        ({"data.input_channels": "1"}, "leave out --config.data.input_channels"),
        (
            {"data.image_size": "90,130"},
            "give multiples of 32, such as --config.data.image_size=96,128",
        ),
    ],
)
def test_flags_that_the_weights_do_not_allow_are_refused_by_name(tmp_path, fields, expected):
    weights = save_weights(randomize(Generator(depth=5, features=4)), tmp_path / "G.pth")
    message = refusal(import_weights, ImportOptions(weights), Workdir(tmp_path / "run"), fields)
    assert message.endswith(expected)
    assert str(weights) in message


def test_a_discriminator_that_is_too_deep_has_one_fix(tmp_path):
    weights = save_weights(randomize(Generator(depth=5, features=4)), tmp_path / "G.pth")
    fields = {"model.discriminator": "image286"}
    message = refusal(import_weights, ImportOptions(weights), Workdir(tmp_path / "run"), fields)
    assert message == (
        "model.discriminator: image286 is too deep for data.image_size 32x32; leave out "
        "--config.model.discriminator"
    )


def generator_tensors(**more):
    return randomize(Generator(depth=5, features=4, **more)).state_dict()


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


FIRST = "model.model.0.weight"
FILES_WITHOUT_GENERATOR = {
    "an object without tensors": (
        lambda: torch.Generator.__new__,
        "contains a whole __builtin__.getattr, not only tensors",
    ),
    "a checkpoint without a network": (lambda: {"epoch": 3}, "a dict with the keys epoch, not a"),
    "a ResNet": (lambda: {"model.10.conv_block.1.weight": torch.zeros(2)}, "a ResNet generator"),
    "a discriminator": (
        lambda: PatchDiscriminator(features=4).state_dict(),
        "contains a discriminator",
    ),
    "other tensors": (lambda: {"fc.weight": torch.zeros(2)}, "1 tensors (fc.weight"),
    "a tensor too few": (
        lambda: without(generator_tensors(), "model.model.3.weight"),
        "contains parts of a U-Net, not a whole U-Net",
    ),
    "no number": (
        lambda: generator_tensors() | {FIRST: torch.full((4, 3, 4, 4), torch.nan)},
        "finite",
    ),
    "a bias too few": (
        lambda: without(generator_tensors(), "model.model.1.model.2.bias"),
        "has no tensor model.model.1.model.2.bias",
    ),
    "a tensor too many": (
        lambda: generator_tensors() | {"more": torch.zeros(2)},
        "contains more, which the network",
    ),
    "another width": (
        lambda: generator_tensors() | {"model.model.1.model.1.weight": torch.zeros(7, 4, 4, 4)},
        "has model.model.1.model.1.weight of shape (4, 4, 4, 7)",
    ),
    "a hundred channels": (
        lambda: generator_tensors(inputs=100),
        "data.input_channels: 100 is too large; give a number of at most 64",
    ),
}


@pytest.mark.parametrize("name", FILES_WITHOUT_GENERATOR)
def test_a_file_without_a_generator_is_refused_with_its_content(tmp_path, name):
    content, expected = FILES_WITHOUT_GENERATOR[name]
    torch.save(content(), tmp_path / "G.pth")
    message = refusal(
        import_weights, ImportOptions(tmp_path / "G.pth"), Workdir(tmp_path / "run"), {}
    )
    assert expected in message
    assert str(tmp_path / "G.pth") in message
    assert not (tmp_path / "run").exists()


def test_views_and_tensors_of_every_dtype_are_read(tmp_path):
    table = torch.arange(24.0).reshape(4, 6)
    state = {
        "view": table[1:, ::2].T,
        "half": table.half(),
        "brain": table.bfloat16(),
        "double": table.double(),
        "count": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(table),
    }
    for legacy in (True, False):
        torch.save(state, tmp_path / "G.pth", _use_new_zipfile_serialization=not legacy)
        found = read_pth(tmp_path / "G.pth")
        for name, value in state.items():
            assert found[name].shape == tuple(value.shape)
            np.testing.assert_array_equal(found[name].astype(float), value.detach().double())


def test_safetensors_of_the_pytorch_code_are_imported(tmp_path):
    network = randomize(Generator(depth=5, features=4))
    tensors = {f"module.{name}": v.numpy() for name, v in network.state_dict().items()}
    save_file(tensors, tmp_path / "G.safetensors")
    _, config, params = import_run(tmp_path, tmp_path / "G.safetensors", **SMALL_DISCRIMINATOR)
    tensors = read_weights(tmp_path / "G.safetensors", "generator").tensors
    expected = from_torch(tensors, generator_names(5), params, config.model)
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    (tmp_path / "G.safetensors").write_bytes(b"not safetensors")
    assert "cannot be read as a safetensors file" in refusal(
        read_weights, tmp_path / "G.safetensors", "generator"
    )
    assert "is a folder" in refusal(read_weights, tmp_path, "generator")


def test_the_error_for_a_type_that_numpy_lacks_says_which_type_to_save(tmp_path):
    path = tmp_path / "G.safetensors"
    save_torch_file({"a": torch.zeros(2, dtype=torch.float8_e4m3fn)}, path)
    assert refusal(read_weights, path, "generator").endswith("save the tensors as float32")


def test_a_discriminator_that_does_not_fit_is_refused(tmp_path):
    config = config_like("batch", None)
    fields = discriminator_fields_from_tensors
    named = {"model.0.weight": np.zeros((4, 9, 4, 4)), "model.11.weight": np.zeros((1, 8, 4, 4))}
    middle = {f"model.{n}.weight": np.zeros((4, 4, 4, 4)) for n in (2, 5, 8)}
    assert (
        "for 9 channels, but a discriminator for this generator needs 3 channels (target) or 6"
        in refusal(fields, named | middle, config)
    )
    deep = randomize(PatchDiscriminator(layers=6, features=2)).state_dict()
    deep = {name: value.numpy() for name, value in deep.items()}
    assert "with n_layers 6; give a discriminator with n_layers 1 to 5" in refusal(
        fields, deep, config
    )
    assert "not a discriminator" in refusal(fields, {"a": np.zeros(3)}, config)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("leaky_slope", 0.3, "is 0.3"),
        ("skip_slope", 0.3, "is 0.3"),
        ("norm_epsilon", 1e-3, "is 0.001"),
        ("generator", "encoder_decoder", "is encoder_decoder"),
        ("norm_affine", False, "is False"),
        ("bias", "all", "is all"),
        ("depth", 4, "is 4"),
        ("bottleneck_norm", True, "the generator has a norm after its last encoder layer"),
    ],
)
def test_a_generator_that_the_pytorch_code_cannot_compute_is_refused(field, value, reason):
    config = config_like("batch", None)
    check_torch_generator(config)
    wrong = replace(config, model=replace(config.model, **{field: value}))
    assert f"model.{field}: {reason}" in refusal(check_torch_generator, wrong)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_the_discriminators_of_the_pytorch_code_can_be_exported(name):
    check_torch_discriminator(Config(model=Model(discriminator=name)))


def test_an_imported_discriminator_that_is_too_deep_for_the_images_is_named(tmp_path):
    weights = save_weights(Generator(depth=5, features=4), tmp_path / "G.pth")
    path = save_weights(PatchDiscriminator(layers=5, features=4), tmp_path / "D.pth")
    options = ImportOptions(weights, path)
    assert refusal(import_weights, options, Workdir(tmp_path / "run"), {}) == (
        f"data.image_size: 32x32 is too small for image286, the discriminator in {path}; give a "
        "larger --config.data.image_size, or leave out --discriminator"
    )
