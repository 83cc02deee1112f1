import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.numpy_layers import convolution, leaky_relu, norm

from pix2pix_jax.config import Config, Data, Model, Train
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_discriminator
from pix2pix_jax.models.layers import NormSettings
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.topology import DISCRIMINATORS, output_grid, receptive_field

GOLDEN = {  # receptive field, side of the output and parameters, for pairs of 256x256 RGB images
    "pixel": (1, 256, 9_025),
    "patch16": (16, 126, 139_585),
    "patch34": (34, 62, 666_433),
    "patch70": (70, 30, 2_768_705),
    "patch142": (142, 14, 6_964_033),
    "image286": (286, 6, 11_159_361),
    "tutorial": (142, 16, 6_964_033),
}


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_a_discriminator_has_its_receptive_field_grid_and_number_of_parameters(name):
    field, grid, parameters = GOLDEN[name]
    module = make_discriminator(resolve(Config(model=Model(discriminator=name))))
    image = jnp.zeros((1, 256, 256, 6))
    logits, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), image))
    assert logits.shape == (1, grid, grid, 1)
    assert output_grid(DISCRIMINATORS[name], 256, 256) == (grid, grid)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == parameters
    assert receptive_field(DISCRIMINATORS[name]) == field


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_the_receptive_field_equals_that_of_a_gradient(name):
    """A logit depends on a square of the image: there its gradient is not zero."""
    field = receptive_field(DISCRIMINATORS[name])
    # With a norm, a logit would depend on all pixels.
    module = Discriminator(DISCRIMINATORS[name], features=1, norm=NormSettings("none"))
    side = 3 * field + 32 if field < 100 else field + 96
    image = jax.random.normal(jax.random.key(0), (1, side, side, 2))
    # The weights are made positive, so that the effects of two paths never cancel.
    variables = jax.tree.map(jnp.abs, jax.jit(module.init)(jax.random.key(1), image))

    def middle_logit(image):
        logits = module.apply(variables, image)
        return logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]

    touched = np.asarray(jnp.abs(jax.jit(jax.grad(middle_logit))(image)).sum((0, 3)) > 0)
    for axis in (0, 1):
        [pixels] = np.nonzero(touched.any(axis))
        assert pixels[-1] - pixels[0] + 1 == field


def test_the_discriminator_takes_every_field_of_the_config():
    config = Config(
        model=Model(
            discriminator="patch16", discriminator_features=5, norm="instance", norm_epsilon=0.1,
            norm_affine=False, bias="all", leaky_slope=0.3,
        ),
        train=Train(dtype="bfloat16"),
    )  # fmt: skip
    expected = Discriminator(
        DISCRIMINATORS["patch16"], features=5, norm=NormSettings("instance", 0.1, False),
        bias_layers="all", leaky_slope=0.3, dtype=jnp.dtype("bfloat16"),
    )  # fmt: skip
    assert make_discriminator(config) == expected


def test_the_receptive_field_grows_with_every_layer():
    table = DISCRIMINATORS["patch70"]
    assert [receptive_field(table[:n]) for n in range(1, 6)] == [4, 10, 22, 46, 70]


@pytest.mark.parametrize(
    ("name", "norm", "bias_layers", "biased"),
    [
        ("patch34", "batch", "paper", {"conv1", "logits"}),
        ("patch34", "none", "paper", {"conv1", "logits"}),
        ("patch34", "none", "pytorch", {"conv1", "logits"}),
        ("patch34", "batch", "unnormalized", {"conv1", "logits"}),
        ("patch34", "none", "unnormalized", {"conv1", "conv2", "conv3", "logits"}),
        ("patch34", "none", "last", {"logits"}),
        ("patch34", "batch", "all", {"conv1", "conv2", "conv3", "logits"}),
        ("pixel", "batch", "paper", {"conv1", "logits"}),
        ("pixel", "batch", "pytorch", {"conv1"}),
        ("pixel", "none", "pytorch", {"conv1"}),
    ],
)
def test_the_layers_with_a_bias_and_with_a_norm(name, norm, bias_layers, biased):
    image = jnp.zeros((1, 64, 64, 6))
    module = Discriminator(DISCRIMINATORS[name], 4, NormSettings(norm), bias_layers)
    params = jax.eval_shape(module.init, jax.random.key(0), image)["params"]
    assert {name for name in params if params[name].keys() == {"kernel", "bias"}} == biased
    hidden = {"conv2", "conv3"} if name == "patch34" else {"conv2"}
    norms = {f"{layer}_norm" for layer in hidden if norm == "batch"}
    assert {name for name in params if name.endswith("_norm")} == norms


def test_the_tutorials_discriminator_pads_as_tensorflow_does():
    """With stride 1 and a 4x4 kernel, "same" pads with one zero before and with two zeros after."""
    last = Discriminator(DISCRIMINATORS["tutorial"][-1:], norm=NormSettings("none"))
    image = jax.random.normal(jax.random.key(0), (1, 6, 6, 2))
    variables = last.init(jax.random.key(1), image)
    kernel = np.asarray(variables["params"]["logits"]["kernel"])[..., 0]
    padded = np.pad(np.asarray(image[0]), ((1, 2), (1, 2), (0, 0)))
    expected = [[(padded[i : i + 4, j : j + 4] * kernel).sum() for j in range(6)] for i in range(6)]
    np.testing.assert_allclose(last.apply(variables, image)[0, ..., 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "side"), [("patch70", 16), ("image286", 64), ("patch16", 4), ("tutorial", 16)]
)
def test_an_error_for_a_small_image_names_the_discriminators_that_fit(name, side):
    config = Config(
        data=Data(image_size=(side, side), load_size=(side, side)), model=Model(discriminator=name)
    )
    with pytest.raises(UsageError, match=f"model.discriminator: {name} is too deep") as refusal:
        make_discriminator(config)
    fitting = refusal.value.fix.removeprefix("give ").removeprefix("one of ").split(", ")
    assert "pixel" in fitting
    assert name not in fitting
    for other in fitting:
        assert min(output_grid(DISCRIMINATORS[other], side, side)) >= 1


def test_the_forward_pass_equals_a_forward_pass_in_numpy():
    """The test writes out patch34: convolutions, norms from the second layer on, LeakyReLU 0.2."""
    module = Discriminator(DISCRIMINATORS["patch34"], features=4)
    x = jax.random.normal(jax.random.key(0), (1, 24, 20, 4))
    variables = jax.jit(module.init)(jax.random.key(1), x)
    p = jax.tree.map(lambda leaf: 5 * np.asarray(leaf, np.float64), variables["params"])
    p["conv1"]["bias"] += 0.3

    y = convolution(np.asarray(x[0], np.float64), p["conv1"]["kernel"]) + p["conv1"]["bias"]
    y = norm(convolution(leaky_relu(y), p["conv2"]["kernel"]), p["conv2_norm"])
    y = norm(convolution(leaky_relu(y), p["conv3"]["kernel"], 1), p["conv3_norm"])
    y = convolution(leaky_relu(y), p["logits"]["kernel"], 1) + p["logits"]["bias"]
    found = jax.jit(module.apply)({"params": jax.tree.map(jnp.float32, p)}, x)[0]
    np.testing.assert_allclose(found, y, rtol=1e-3, atol=1e-4)
