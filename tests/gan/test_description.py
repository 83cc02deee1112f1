"""Descriptions of networks agree with the paper and with the Flax modules."""

import json

import jax
import jax.numpy as jnp
import pytest

from pix2pix_jax.config import Config, Data, Loss, Model, preset, resolve
from pix2pix_jax.gan.description import describe, layer_rows, to_json, to_text
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.models.topology import DISCRIMINATORS


def test_the_default_networks_have_the_papers_parameters_shapes_and_receptive_field():
    summary = json.loads(to_json(describe(Config())))
    assert summary["generator"]["parameters"] == 54_413_955
    assert summary["generator"]["output_shape"] == [256, 256, 3]
    assert summary["discriminator"]["parameters"] == 2_768_705
    assert summary["discriminator"]["receptive_field"] == 70
    assert summary["discriminator"]["output_shape"] == [30, 30, 1]
    assert len(summary["layers"]) == 16 + 5
    fields = [r["receptive_field"] for r in summary["layers"] if r["network"] == "discriminator"]
    assert fields == [4, 10, 22, 46, 70]
    strides = [row["stride"] for row in summary["layers"]]
    assert strides == 16 * [2] + [2, 2, 2, 1, 1]
    kinds = [row["kind"] for row in summary["layers"]]
    assert kinds == 8 * ["convolution"] + 8 * ["transposed convolution"] + 5 * ["convolution"]


def test_the_parameters_of_the_layers_add_up_to_the_parameters_of_the_network():
    summary = describe(Config(data=Data(image_size=(64, 128), input_channels=1)))
    for network in ("generator", "discriminator"):
        rows = [row for row in summary["layers"] if row["network"] == network]
        assert sum(row["parameters"] for row in rows) == summary[network]["parameters"]
    down1, down2 = summary["layers"][:2]
    assert down1["output_shape"] == [32, 64, 64]
    assert down1["parameters"] == 4 * 4 * 1 * 64
    assert down2["parameters"] == 4 * 4 * 64 * 128 + 2 * 128
    assert summary["discriminator"]["input_shape"] == [64, 128, 4]


def test_an_unconditional_discriminator_takes_only_the_target():
    summary = describe(Config(loss=Loss(conditional=False)))
    assert summary["discriminator"]["input_shape"] == [256, 256, 3]


@pytest.mark.parametrize(("generator", "skips"), [("unet", 7), ("encoder_decoder", 0)])
def test_the_text_shows_skips_dropout_and_norms(generator, skips):
    text = to_text(describe(Config(model=Model(generator=generator))))
    assert text.count("skip") == skips
    assert text.count("dropout") == 3
    assert text.count("batch") == 6 + 7 + 3
    assert "transposed convolutions 4x4, stride 2" in text
    assert max(map(len, text.splitlines())) <= 100


def test_differences_from_the_paper_are_listed():
    assert "differs from" not in to_text(describe(Config(data=Data(image_size=(128, 128)))))
    summary = describe(preset("tf_tutorial", Config(loss=Loss(gan="lsgan"))))
    assert summary["differences"] == {
        "model.norm_epsilon": 1e-3,
        "model.bottleneck_norm": True,
        "model.bias": "last",
        "model.leaky_slope": 0.3,
        "model.skip_slope": 0.3,
        "loss.gan": "lsgan",
        "loss.discriminator_weight": 1.0,
        "optimizer.epsilon": 1e-7,
        "optimizer.epsilon_hat": True,
        "optimizer.updates": "simultaneous",
    }
    assert "loss.gan=lsgan, loss.discriminator_weight=1.0" in to_text(summary)


def test_only_a_depth_below_the_largest_possible_depth_differs_from_the_paper():
    config = Config(
        data=Data(image_size=(36, 36), flip=False), model=Model(depth=2, discriminator="pixel")
    )
    assert describe(config)["differences"] == {"data.flip": False, "model.discriminator": "pixel"}
    config = Config(model=Model(depth=7))
    assert describe(config)["differences"] == {"model.depth": 7}


def test_more_than_nine_layers_are_in_the_order_of_the_data():
    config = Config(data=Data(image_size=(1024, 1024)), model=Model(features=2))
    summary = describe(config)
    names = [row["name"] for row in summary["layers"] if row["network"] == "generator"]
    assert names == [f"down{n}" for n in range(1, 11)] + [f"up{n}" for n in range(1, 11)]
    assert summary["generator"]["output_shape"] == [1024, 1024, 3]


def test_the_last_decoder_layer_has_no_dropout():
    text = to_text(
        describe(Config(data=Data(image_size=(24, 24)), model=Model(discriminator="pixel")))
    )
    assert text.count("dropout") == 2


@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
@pytest.mark.parametrize(
    "model",
    [
        {},
        {"generator": "encoder_decoder", "norm": "instance", "bias": "all"},
        {"norm": "none", "bias": "last", "depth": 5},
        {"norm_affine": False, "bottleneck_norm": True, "dropout_blocks": "middle"},
    ],
)
def test_the_rows_of_all_layers_equal_the_modules_that_flax_traces(discriminator, model):
    """Flax traces the kernels, parameters and shapes that `layer_rows` reads from the tables."""
    model = Model(discriminator=discriminator, features=4, discriminator_features=4, **model)
    config = resolve(Config(data=Data(image_size=(256, 128)), model=model))
    for module, channels in ((make_generator(config), 3), (make_discriminator(config), 6)):
        rows = layer_rows(module, (256, 128, channels))

        def trace(module=module, channels=channels):
            image = jnp.zeros((1, 256, 128, channels))
            options = {"capture_intermediates": True, "mutable": True}
            return module.init_with_output(jax.random.key(0), image, **options)[1]

        variables = jax.eval_shape(trace)
        params, outputs = variables["params"], variables["intermediates"]
        assert {row["name"] for row in rows} == {n for n in params if not n.endswith("_norm")}
        for row in rows:
            norm_params = params.get(f"{row['name']}_norm", {})
            sizes = [leaf.size for leaf in jax.tree.leaves([params[row["name"]], norm_params])]
            assert row["parameters"] == sum(sizes)
            assert tuple(row["kernel"]) == params[row["name"]]["kernel"].shape
            [output] = outputs[row["name"]]["__call__"]
            assert (1, *row["output_shape"]) == output.shape
            assert bool(norm_params) == (row["norm"] != "none" and module.norm.affine)
