from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.numpy_layers import convolution, leaky_relu, norm, relu, transposed_convolution

from pix2pix_jax.config import Config, Data, Model, Train
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.models.layers import NormSettings, dropout
from pix2pix_jax.models.unet import UNet, translate_each


def parameters(module, shape):
    return jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros(shape)))["params"]


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def start(module, x):
    return jax.jit(module.init)(jax.random.key(1), x)


def normal(shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def test_the_papers_generator_has_its_number_of_parameters():
    params = parameters(make_generator(resolve(Config())), (1, 256, 256, 3))
    assert count(params) == 54_413_955
    widths = [params[f"down{level}"]["kernel"].shape[-1] for level in range(1, 9)]
    assert widths == [64, 128, 256, 512, 512, 512, 512, 512]
    # The input of a decoder layer joins the layer before and the skip: CD512-CD1024-...-C128.
    inputs = [params[f"up{level}"]["kernel"].shape[2] for level in range(1, 9)]
    assert inputs == [512, 1024, 1024, 1024, 1024, 512, 256, 128]


def test_norms_and_biases_are_those_of_the_paper():
    params = parameters(make_generator(resolve(Config())), (1, 256, 256, 3))
    norms = {name for name in params if name.endswith("_norm")}
    assert norms == {f"down{level}_norm" for level in range(2, 8)} | {
        f"up{level}_norm" for level in range(1, 8)
    }
    assert [name for name in params if "bias" in params[name] and name not in norms] == ["up8"]


def test_the_config_sets_every_field_of_the_generator():
    config = Config(
        data=Data(image_size=(64, 64), target_channels=1),
        model=Model(
            features=5, depth=4, norm="instance", norm_epsilon=0.1, norm_affine=False, bias="all",
            leaky_slope=0.3, skip_slope=0.4, dropout=0.25, dropout_blocks="middle",
        ),
        train=Train(dtype="bfloat16"),
    )  # fmt: skip
    assert make_generator(config) == UNet(
        channels=1, depth=4, features=5, norm=NormSettings("instance", 0.1, False),
        bottleneck_norm=True, all_biases=True, leaky_slope=0.3, skip_slope=0.4, dropout_rate=0.25,
        dropout_blocks="middle", dtype=jnp.dtype("bfloat16"),
    )  # fmt: skip
    without = replace(config, model=replace(config.model, bottleneck_norm=False))
    assert not make_generator(without).bottleneck_norm


def test_the_encoder_decoder_is_the_u_net_without_skips():
    config = resolve(Config(model=Model(generator="encoder_decoder")))
    params = parameters(make_generator(config), (1, 256, 256, 3))
    inputs = [params[f"up{level}"]["kernel"].shape[2] for level in range(1, 9)]
    assert inputs == [512, 512, 512, 512, 512, 256, 128, 64]
    assert count(params) == 54_413_955 - 16 * (
        3 * 512 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3
    )


@pytest.mark.parametrize(
    ("size", "depth", "has_norm"),
    [((256, 256), 8, False), ((256, 256), 7, True), ((128, 256), 7, True), ((96, 64), 5, True)],
)
def test_the_bottleneck_has_a_norm_unless_it_is_one_pixel(size, depth, has_norm):
    config = resolve(Config(data=Data(image_size=size), model=Model(depth=depth)))
    params = parameters(make_generator(config), (1, *size, 3))
    assert (f"down{depth}_norm" in params) == has_norm


@pytest.mark.parametrize(
    ("depth", "first_three", "middle"),
    [
        (9, [1, 2, 3], [2, 3, 4, 5]),
        (8, [1, 2, 3], [2, 3, 4]),
        (6, [1, 2, 3], [2]),
        (5, [1, 2, 3], []),
        (3, [1, 2], []),
        (1, [], []),
    ],
)
def test_dropout_is_on_the_blocks_of_the_paper_or_of_the_pytorch_code(depth, first_three, middle):
    def blocks_with_dropout(**options):
        return [layer.name for layer in UNet(3, depth, **options).layers if layer.has_dropout]

    assert blocks_with_dropout() == [f"up{level}" for level in first_three]
    assert blocks_with_dropout(dropout_blocks="middle") == [f"up{level}" for level in middle]


@pytest.mark.parametrize(
    ("shape", "channels", "depth"),
    [((1, 16, 16, 3), 3, 4), ((2, 24, 40, 1), 4, 3), ((1, 32, 8, 7), 2, 3), ((1, 2, 2, 3), 3, 1)],
)
def test_a_u_net_translates_images_of_any_size_and_channels(shape, channels, depth):
    module, x = UNet(channels, depth, features=4, bottleneck_norm=True), normal(shape)
    y, _ = jax.jit(module.init_with_output)(jax.random.key(0), x)
    assert y.shape == (*shape[:3], channels)
    assert y.dtype == jnp.float32
    assert jnp.abs(y).max() <= 1


def test_a_norm_at_a_bottleneck_of_one_pixel_would_lose_the_image():
    """For this reason, the last encoder layer of the paper has no norm."""

    def spread(bottleneck_norm):
        module = UNet(3, 3, 4, skips=False, bottleneck_norm=bottleneck_norm)
        x = normal((4, 8, 8, 3))
        variables = start(module, x[:1])
        y = jax.jit(partial(translate_each, module, keys=None))(variables, x)
        return float(jnp.ptp(y, axis=0).max())

    assert spread(bottleneck_norm=True) == 0
    assert spread(bottleneck_norm=False) > 0


def test_dropout_on_three_blocks_is_the_only_noise():
    x, keys = normal((1, 32, 32, 3)), jax.random.split(jax.random.key(0), 2)
    module = UNet(3, 5, 4)
    variables, apply = start(module, x), jax.jit(module.apply)
    assert (apply(variables, x, keys[:1]) != apply(variables, x, keys[1:])).any()
    still = jax.jit(replace(module, dropout_rate=0.0).apply)
    np.testing.assert_array_equal(still(variables, x, keys[:1]), apply(variables, x, None))
    jaxpr = jax.make_jaxpr(lambda x: module.apply(variables, x, keys[:1]))(x)
    assert str(jaxpr).count("random_fold_in") == 3


def test_a_translation_does_not_depend_on_the_other_images():
    module = UNet(3, 4, 4)
    images, keys = normal((8, 16, 16, 3)), jax.random.split(jax.random.key(0), 8)
    variables, one_by_one = start(module, images), jax.jit(partial(translate_each, module))
    together = one_by_one(variables, images, keys)
    np.testing.assert_allclose(
        together[5:6], one_by_one(variables, images[5:6], keys[5:6]), atol=1e-6
    )
    mixed = jax.jit(module.apply)(variables, images, keys)
    assert jnp.abs(mixed - together).max() > 1e-3  # batch statistics depend on the batch


def test_a_bfloat16_network_gives_nearly_the_image_of_a_float32_network():
    x = normal((1, 32, 32, 3))
    module = UNet(3, 5, 8)
    variables = start(module, x)
    exact = jax.jit(module.apply)(variables, x)
    rough = jax.jit(replace(module, dtype=jnp.bfloat16).apply)(variables, x)
    assert rough.dtype == jnp.float32
    assert 0 < jnp.abs(rough - exact).max() < 0.05


@pytest.mark.parametrize(("skips", "noisy"), [(True, False), (False, False), (True, True)])
def test_the_forward_pass_equals_a_forward_pass_in_numpy(skips, noisy):
    """The test writes out depth 5 line by line, from the paper and the code of its authors."""
    keys = jax.random.split(jax.random.key(3), 1) if noisy else None
    module = UNet(3, 5, 4, skips=skips)
    x = normal((1, 32, 32, 3))
    variables = start(module, x)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    p = {name: jax.tree.map(lambda leaf: 5 * leaf, layer) for name, layer in p.items()}
    # The weights are larger than initial weights, so that tanh saturates.
    variables = {"params": jax.tree.map(jnp.float32, p)}

    d1 = convolution(np.asarray(x[0], np.float64), p["down1"]["kernel"])
    d2 = norm(convolution(leaky_relu(d1), p["down2"]["kernel"]), p["down2_norm"])
    d3 = norm(convolution(leaky_relu(d2), p["down3"]["kernel"]), p["down3_norm"])
    d4 = norm(convolution(leaky_relu(d3), p["down4"]["kernel"]), p["down4_norm"])
    d5 = convolution(leaky_relu(d4), p["down5"]["kernel"])

    def up(level, y, skip):
        y = norm(transposed_convolution(relu(y), p[f"up{level}"]["kernel"]), p[f"up{level}_norm"])
        if noisy and level <= 3:
            y = np.asarray(dropout(jnp.float32(y[None]), 0.5, keys, level)[0])
        return np.concatenate([skip, y], -1) if skips else y

    y = up(4, up(3, up(2, up(1, d5, d4), d3), d2), d1)
    y = np.tanh(transposed_convolution(relu(y), p["up5"]["kernel"]) + p["up5"]["bias"])
    assert y.std() > 0.1
    found = jax.jit(module.apply)(variables, x, keys)[0]
    np.testing.assert_allclose(found, y, rtol=1e-3, atol=1e-4)
