"""Imported running averages are kept to the bit, and those of trained networks are estimated.

`--eval` of the PyTorch code is `network.eval()` here.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.command_line import TINY, run
from helpers.fields import SMALL_DISCRIMINATOR
from helpers.refusals import refusal
from helpers.states import state_of
from PIL import Image

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

import torch
from helpers.torch_blocks import Generator, PatchDiscriminator, PixelDiscriminator, randomize
from helpers.torch_reference import nchw
from jax import export as jax_export
from safetensors.numpy import load_file

from pix2pix_jax.checkpoints.reader import read_statistics
from pix2pix_jax.config import Config, Data, Model, Train, resolve
from pix2pix_jax.config.files import read_config
from pix2pix_jax.data.pipeline import make_image_batches
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.records import open_split
from pix2pix_jax.evaluation.evaluation_file import read_finished_evaluation
from pix2pix_jax.evaluation.running_statistics import (
    NoStatistics,
    StatisticsOptions,
    find_statistics,
)
from pix2pix_jax.gan.running_statistics import estimate_statistics
from pix2pix_jax.interop.export import ExportOptions, export
from pix2pix_jax.interop.import_weights import ImportOptions, import_weights, write_run
from pix2pix_jax.interop.pytorch.names import discriminator_names, generator_names
from pix2pix_jax.interop.pytorch.tensors import to_torch
from pix2pix_jax.interop.trained_network import TrainedNetwork
from pix2pix_jax.runs.workdir import Workdir

PAIRS = {
    "data.name": "synthetic_facades", "data.synthetic_pairs": "6,2,2", "data.load_size": "36",
    **SMALL_DISCRIMINATOR,
}  # fmt: skip


def succeed(*arguments):
    """Runs a command, and returns what it prints."""
    status, out, err = run(*arguments)
    assert status == 0, err
    return out


def refuse(*arguments):
    """Runs a command that fails, and returns its error line."""
    status, _, err = run(*arguments)
    assert status == 2
    [line] = err.splitlines()
    return line


def save(network, path):
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The folder of both .pth files and of their run; both networks in PyTorch."""
    folder = tmp_path_factory.mktemp("imported")
    generator = randomize(Generator(depth=5, features=4))
    discriminator = randomize(PatchDiscriminator(features=4, layers=1), seed=1)
    for number, norm in enumerate(m for m in generator.modules() if hasattr(m, "running_mean")):
        norm.num_batches_tracked.fill_(1000 + number)
    weights = save(generator, folder / "G.pth")
    save(discriminator, folder / "D.pth")
    fields = {name: PAIRS[name] for name in PAIRS.keys() - SMALL_DISCRIMINATOR.keys()}
    import_weights(ImportOptions(weights, folder / "D.pth"), Workdir(folder / "run"), fields)
    return folder, generator, discriminator


def load(path):
    return torch.load(path, weights_only=True)


def assert_same_tensors(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name].numpy(), tensor.numpy(), err_msg=name)


def test_import_and_export_keep_every_bit_of_both_networks(imported, tmp_path):
    folder, generator, discriminator = imported
    workdir = folder / "run"
    out = succeed(
        "export", f"--workdir={workdir}", f"--output={tmp_path}/G.pth",
        f"--discriminator={tmp_path}/D.pth",
    )  # fmt: skip
    assert_same_tensors(load(tmp_path / "G.pth"), generator.state_dict())
    assert_same_tensors(load(tmp_path / "D.pth"), discriminator.state_dict())
    assert out.count("it has the running averages of the imported file") == 2


def test_safetensors_files_keep_the_averages_too(imported, tmp_path):
    folder, generator, _ = imported
    config, workdir = read_config(folder / "run" / "config.json"), Workdir(folder / "run")
    export(config, workdir, ExportOptions(tmp_path / "G.safetensors"))
    assert "up1_norm.running_var" in load_file(tmp_path / "G.safetensors")
    again = Workdir(tmp_path / "run")
    import_weights(ImportOptions(tmp_path / "G.safetensors"), again, SMALL_DISCRIMINATOR)
    export(read_config(again.config_file), again, ExportOptions(tmp_path / "G.pth"))
    assert_same_tensors(load(tmp_path / "G.pth"), generator.state_dict())


def eval_levels(network, pixels):
    """What `test.py --eval` writes for images [b, h, w, 3] of 0 to 255."""
    with torch.no_grad():
        y = network.eval()(nchw(pixels.astype(np.float32) / 127.5 - 1)).numpy()
    return (y.transpose(0, 2, 3, 1) + 1) * 127.5


def translate(workdir, images, output, *flags):
    out = succeed(
        "translate", f"--workdir={workdir}", f"--input={images}", f"--output={output}", *flags
    )
    return out, np.stack([np.asarray(Image.open(path)) for path in sorted(output.glob("*.png"))])


def write_images(folder, count=3, side=64):
    folder.mkdir()
    pixels = np.random.default_rng(2).integers(0, 256, (count, side, side, 3), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number}.png")
    return pixels


def test_translate_differs_from_pytorchs_eval_mode_by_one_level_at_most(imported, tmp_path):
    folder, generator, _ = imported
    pixels = write_images(tmp_path / "images")
    expected = eval_levels(generator, pixels)
    out, found = translate(
        folder / "run", tmp_path / "images", tmp_path / "out", "--running_statistics"
    )
    assert "the norms use the running averages of the imported file; there is no dropout" in out
    assert np.abs(found - expected).max() <= 1
    _, plain = translate(folder / "run", tmp_path / "images", tmp_path / "plain", "--no_dropout")
    assert np.abs(plain - expected).mean() > 5


def test_onnx_and_stablehlo_files_normalize_by_the_averages(imported, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    folder, generator, _ = imported
    config, workdir = read_config(folder / "run" / "config.json"), Workdir(folder / "run")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 64, 3)).astype(np.float32)
    with torch.no_grad():
        expected = generator.eval()(nchw(x)).numpy().transpose(0, 2, 3, 1)
    for name in ("onnx", "stablehlo"):
        options = ExportOptions(tmp_path / f"G.{name}", statistics=StatisticsOptions())
        export(config, workdir, options)
    session = onnxruntime.InferenceSession(tmp_path / "G.onnx")
    [y] = session.run(None, {"image": x.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(y.transpose(0, 2, 3, 1), expected, atol=2e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["normalization"] == "running averages of the imported file"
    program = jax_export.deserialize(bytearray((tmp_path / "G.stablehlo").read_bytes()))
    np.testing.assert_allclose(program.call(x), expected, atol=2e-5)


def config_for_estimate(**data):
    data = Data(
        image_size=(32, 32), load_size=(36, 36), synthetic_pairs=(6, 2, 2), batch_size=2, **data
    )
    model = Model(
        features=4, depth=5, dropout_blocks="middle", discriminator="patch16",
        discriminator_features=4, norm_images=2, bias="pytorch",
    )  # fmt: skip
    return resolve(Config(data=data, model=model))


def test_an_estimate_is_the_average_that_pytorch_makes_of_the_same_batches(tmp_path):
    """With momentum None, PyTorch's running average weights all batches equally."""
    config = config_for_estimate(data_dir=str(tmp_path))
    state, records = state_of(config), open_split(prepare(config.data), "train")
    batches = [make_image_batches(config, records)[step] for step in range(3)]
    params = {"generator": state.generator.params, "discriminator": state.discriminator.params}
    found = estimate_statistics(config, params, batches, use_dropout=False)
    generator = Generator(depth=5, features=4)
    discriminator = PatchDiscriminator(features=4, layers=1)
    names = {"generator": generator_names(5), "discriminator": discriminator_names("patch16")}
    networks = {"generator": generator, "discriminator": discriminator}
    for name, network in networks.items():
        tensors = to_torch(params[name], names[name], config.model)
        network.load_state_dict({key: torch.tensor(value) for key, value in tensors.items()})
        for module in network.train().modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
    with torch.no_grad():
        for batch in batches:
            x, y = (
                nchw(batch[name].astype(np.float32) / 127.5 - 1) for name in ("input", "target")
            )
            fake = generator(x)
            for images in (fake, y, fake):
                discriminator(torch.cat([x, images], 1))
    for name, network in networks.items():
        expected = network.state_dict()
        for norm, values in found[name].items():
            torch_name = names[name][norm]
            mean, variance = (
                expected[f"{torch_name}.running_{part}"].numpy() for part in ("mean", "var")
            )
            np.testing.assert_allclose(values["mean"], mean, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(values["variance"], variance, rtol=1e-4, atol=1e-6)
            assert values["num_batches"] == 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of 8 steps of a generator that the PyTorch code can compute."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    succeed(
        "train", "--config=experiments/synthetic_facades.py:pytorch", f"--workdir={workdir}", *TINY,
        "--config.model.depth=5", "--config.train.steps=8", "--config.optimizer.learning_rate=0.01",
        "--config.model.dropout_blocks=first_three",
    )  # fmt: skip
    return workdir


def test_a_trained_generator_gives_in_pytorchs_eval_mode_what_translate_gives(trained, tmp_path):
    out = succeed("export", f"--workdir={trained}", f"--output={tmp_path}/G.pth")
    source = "running averages estimated from all 6 training pairs with dropout"
    assert f"it has the {source}" in out
    network = Generator(depth=5, features=8)
    network.load_state_dict(load(tmp_path / "G.pth"), strict=True)
    pixels = write_images(tmp_path / "images")
    out, found = translate(
        trained, tmp_path / "images", tmp_path / "out", "--running_statistics", "--seed=3"
    )
    assert f"the norms use the {source}; there is no dropout" in out
    assert np.abs(found - eval_levels(network, pixels)).max() <= 1


def test_the_number_of_pairs_and_the_dropout_of_an_estimate_can_be_chosen(trained, tmp_path):
    config, workdir = read_config(trained / "config.json"), Workdir(trained)
    found = {
        options: find_statistics(workdir, config, 8, "generator", options)
        for options in (StatisticsOptions(), StatisticsOptions(4), StatisticsOptions(4, False))
    }
    sources = [statistics.source for statistics in found.values()]
    assert sources == [
        "running averages estimated from all 6 training pairs with dropout",
        "running averages estimated from 4 of 6 training pairs with dropout",
        "running averages estimated from 4 of 6 training pairs without dropout",
    ]
    counts = [int(each.values["up1_norm"]["num_batches"]) for each in found.values()]
    assert counts == [6, 4, 4]
    means = [each.values["up4_norm"]["mean"] for each in found.values()]
    assert not np.array_equal(means[0], means[1])
    assert not np.array_equal(means[1], means[2])


def test_an_evaluation_on_fewer_pairs_keeps_the_averages_of_the_training_pairs(trained):
    out = succeed(
        "evaluate", f"--workdir={trained}", "--running_statistics", "--config.data.max_pairs=1"
    )
    assert "running averages estimated from all 6 training pairs with dropout" in out


def test_norms_without_scales_have_no_averages(tmp_path):
    config = config_for_estimate(data_dir=str(tmp_path))
    config = replace(config, model=replace(config.model, norm_affine=False))
    workdir = Workdir(tmp_path / "run")
    write_run(workdir, config, state_of(config))
    message = refusal(find_statistics, workdir, config, 0, "generator", StatisticsOptions())
    assert "have running averages, but model.norm_affine is False" in message


def test_a_pth_file_gets_averages_without_dropout_if_asked(trained, tmp_path):
    out = succeed("export", f"--workdir={trained}", f"--output={tmp_path}/G.pth", "--no_dropout")
    assert "running averages estimated from all 6 training pairs without dropout" in out


def test_a_norm_of_a_single_pixel_has_no_averages(tmp_path):
    """The TensorFlow tutorial has a norm at the 1x1 bottleneck."""
    config = config_for_estimate(data_dir=str(tmp_path))
    model = replace(config.model, bottleneck_norm=True, norm_images=1)
    config = replace(config, model=model)
    workdir = Workdir(tmp_path / "run")
    write_run(workdir, config, state_of(config))
    args = workdir, config, 0, "generator", StatisticsOptions(2)
    message = refusal(find_statistics, *args)
    assert message == (
        "--running_statistics: an average of the generator is not a finite number; a norm with a "
        "single value of each channel in a batch, for example, has no variance; leave out "
        "--running_statistics"
    )


def test_an_estimate_names_the_pairs_of_its_whole_batches(tmp_path):
    """3 of 6 pairs are two batches of two pairs; 5 or 6 pairs are three batches."""
    config = config_for_estimate(data_dir=str(tmp_path))
    config = replace(config, model=replace(config.model, norm_images=2))
    workdir = Workdir(tmp_path / "run")
    write_run(workdir, config, state_of(config))
    for num_pairs, used, num_batches in [
        (1, "2 of 6 training pairs", 1),
        (3, "4 of 6 training pairs", 2),
        (5, "all 6 training pairs", 3),
        (99, "all 6 training pairs", 3),
    ]:
        found = find_statistics(workdir, config, 0, "generator", StatisticsOptions(num_pairs))
        assert found.source.startswith(f"running averages estimated from {used}")
        assert found.values["up1_norm"]["num_batches"] == num_batches


def test_evaluate_writes_that_it_used_running_statistics(trained):
    config, workdir = read_config(trained / "config.json"), Workdir(trained)
    succeed("evaluate", f"--workdir={trained}")
    plain = json.loads(workdir.evaluation_file("val").read_text())
    assert read_finished_evaluation(config, workdir, "val") is not None
    out = succeed("evaluate", f"--workdir={trained}", "--running_statistics=4")
    source = "running averages estimated from 4 of 6 training pairs with dropout"
    assert f"the norms use the {source}; there is no dropout" in out
    assert "the evaluation of step 8 is replaced" in out
    evaluation = json.loads(workdir.evaluation_file("val").read_text())
    assert "running_statistics" not in plain
    assert evaluation["running_statistics"] == source
    assert evaluation["metrics"]["l1"] != plain["metrics"]["l1"]
    assert f"The norms use the {source}" in workdir.evaluation_page("val").read_text()
    assert read_finished_evaluation(config, workdir, "val") is None


def test_trained_weights_lose_the_averages_of_their_file(imported, tmp_path):
    folder, _, _ = imported
    out = succeed(
        "train", f"--init={folder}/run", f"--workdir={tmp_path}/run", "--config.train.steps=1",
        "--config.train.samples=1",
    )  # fmt: skip
    assert "the running averages of the imported networks belong to their imported weights" in out
    workdir = Workdir(tmp_path / "run")
    for step in (0, 1):
        config = read_config(workdir.config_file)
        params = state_of(config).generator.params
        assert read_statistics(workdir, step, "generator", params) is None
    out = succeed("export", f"--workdir={workdir}", f"--output={tmp_path}/G.pth")
    assert "running averages estimated from all 6 training pairs" in out


def test_an_imported_run_that_resumes_loses_its_averages_but_keeps_its_first_checkpoint(
    imported, tmp_path
):
    folder, generator, _ = imported
    workdir = Workdir(tmp_path / "run")
    import_weights(ImportOptions(folder / "G.pth"), workdir, PAIRS | {"train.samples": "1"})
    out = succeed("train", f"--workdir={workdir}", "--config.train.steps=1")
    assert "the running averages of the imported networks belong to their imported weights" in out
    for step in (0, 1):
        path = tmp_path / f"{step}.pth"
        succeed("export", f"--workdir={workdir}", f"--step={step}", f"--output={path}")
    assert_same_tensors(load(tmp_path / "0.pth"), generator.state_dict())
    mean = "model.model.1.model.2.running_mean"
    assert not np.array_equal(load(tmp_path / "1.pth")[mean], load(tmp_path / "0.pth")[mean])


def test_without_pairs_a_line_says_that_eval_is_wrong(tmp_path, capsys):
    config = resolve(
        replace(config_for_estimate(name="folder", source=str(tmp_path / "gone")), train=Train())
    )
    config = replace(config, data=replace(config.data, data_dir=str(tmp_path / "data")))
    workdir = Workdir(tmp_path / "run")
    write_run(workdir, config, state_of(config))
    export(config, workdir, ExportOptions(tmp_path / "G.pth"))
    lines = capsys.readouterr()
    warning = "test.py --eval` of the PyTorch code gives wrong images with this file, because its"
    assert warning in lines.out
    reason = (
        f"data.source: {tmp_path}/gone does not exist, but running averages are estimated from "
        "training pairs; correct the path"
    )
    assert f" are not known: {reason}, or use test.py without --eval\n" in lines.out
    assert lines.err == ""
    tensors = load(tmp_path / "G.pth")
    assert {float(v.min()) for k, v in tensors.items() if k.endswith("running_var")} == {1.0}
    assert {path.name for path in tmp_path.iterdir()} == {"run", "G.pth"}
    options = ExportOptions(tmp_path / "H.pth", statistics=StatisticsOptions())
    assert "gone does not exist, but running averages are" in refusal(
        export, config, workdir, options
    )
    public = replace(config, data=replace(config.data, name="maps", source=None))
    public_run = Workdir(tmp_path / "public")
    write_run(public_run, public, state_of(public))
    export(public, public_run, ExportOptions(tmp_path / "P.pth"))
    assert "the pairs of maps are not on this machine; " in capsys.readouterr().out


def test_networks_without_batch_norms_have_no_averages(tmp_path):
    for name in ("instance", "none"):
        weights = save(randomize(Generator(depth=5, features=4, norm=name)), tmp_path / "G.pth")
        workdir = tmp_path / name
        import_weights(ImportOptions(weights), Workdir(workdir), SMALL_DISCRIMINATOR)
        flags = (f"--input={tmp_path}", f"--output={tmp_path}/out", "--running_statistics")
        message = refuse("translate", f"--workdir={workdir}", *flags)
        assert (
            "--running_statistics: only batch norms with scales have running averages, but "
            f"model.norm is {name}; leave out --running_statistics" in message
        )
        succeed("export", f"--workdir={workdir}", f"--output={tmp_path}/{name}.pth")


@pytest.mark.parametrize(
    ("kind", "norm", "is_affine", "left_out"),
    [
        ("batch_without_scales", "batch", False, True),
        ("instance_with_scales", "instance", True, False),
        ("instance_with_averages", "instance", False, True),
    ],
)
def test_norms_of_other_options_are_recognized(tmp_path, capsys, kind, norm, is_affine, left_out):
    generator = randomize(Generator(depth=5, features=4, norm=kind))
    discriminator = PatchDiscriminator(features=4, layers=1, norm=kind)
    options = ImportOptions(save(generator, tmp_path / "G.pth"), tmp_path / "D.pth")
    save(discriminator, options.discriminator)
    workdir = Workdir(tmp_path / "run")
    import_weights(options, workdir, {})
    config = read_config(workdir.config_file)
    assert (config.model.norm, config.model.norm_affine) == (norm, is_affine)
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if "are left out" in line]
    paths = [options.weights, options.discriminator] if left_out else []
    assert lines == [
        f"{path}: its running averages are left out, because they do not belong to batch norms "
        "with scales (affine=True)"
        for path in paths
    ]
    # With a batch of one image, every norm has the statistics of this image.
    x = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    for name, network, inputs in (
        ("generator", generator, x),
        ("discriminator", discriminator, np.concatenate([x, x], -1)),
    ):
        found = TrainedNetwork.restore(workdir, config, "newest", name)
        with torch.no_grad():
            y = network.train()(nchw(inputs)).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(found.compile_with(found.params)(inputs), y, atol=2e-5)


@pytest.mark.parametrize(
    ("kinds", "found", "expected"),
    [
        (("batch", "instance"), "instance norms without scales", "batch norms with scales"),
        (("none", "batch"), "batch norms with scales", "no norms"),
        (("instance", "none"), "no norms", "instance norms without scales"),
        (
            ("batch", "batch_without_scales"),
            "batch norms without scales",
            "batch norms with scales",
        ),
    ],
)
def test_networks_with_different_norms_are_refused(tmp_path, kinds, found, expected):
    generator, discriminator = kinds
    options = ImportOptions(tmp_path / "G.pth", tmp_path / "D.pth")
    save(Generator(depth=5, features=4, norm=generator), options.weights)
    for network in (PatchDiscriminator, PixelDiscriminator):
        save(network(features=4, norm=discriminator), options.discriminator)
        assert refusal(import_weights, options, Workdir(tmp_path / "x"), {}) == (
            f"{options.discriminator}: has {found}, but the generator has {expected}; give the "
            "generator and the discriminator of the same run"
        )


def test_a_file_of_an_old_pytorch_keeps_its_names(tmp_path):
    """PyTorch counts the batches of a norm since version 0.4.1."""
    tensors = randomize(Generator(depth=5, features=4)).state_dict()
    tensors = {name: value for name, value in tensors.items() if "num_batches" not in name}
    torch.save(tensors, tmp_path / "G.pth")
    for name in ("pth", "safetensors"):  # G.pth -> run -> G.safetensors -> run -> G.pth
        workdir = Workdir(tmp_path / f"to_{name}")
        other = "safetensors" if name == "pth" else "pth"
        import_weights(ImportOptions(tmp_path / f"G.{name}"), workdir, SMALL_DISCRIMINATOR)
        (tmp_path / "G.pth").unlink(missing_ok=True)
        export(read_config(workdir.config_file), workdir, ExportOptions(tmp_path / f"G.{other}"))
    assert_same_tensors(load(tmp_path / "G.pth"), tensors)


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_averages_that_cannot_be_used_are_left_out_with_a_line(tmp_path, capsys, value):
    network = randomize(Generator(depth=5, features=4))
    tensors = network.state_dict()
    tensors["model.model.1.model.2.running_var"][1] = value
    torch.save(tensors, tmp_path / "G.pth")
    workdir = Workdir(tmp_path / "run")
    import_weights(ImportOptions(tmp_path / "G.pth"), workdir, SMALL_DISCRIMINATOR)
    assert "a running average of its norms is not finite, or a variance is negative" in (
        capsys.readouterr().out
    )
    config = read_config(workdir.config_file)
    with pytest.raises(NoStatistics):
        find_statistics(workdir, config, 0, "generator", StatisticsOptions())


@pytest.mark.parametrize("lacks_all_means", [False, True])
def test_a_file_that_lacks_a_part_of_its_averages_is_refused(tmp_path, lacks_all_means):
    tensors = randomize(Generator(depth=5, features=4)).state_dict()
    missing = "model.model.1.model.2.running_var"
    if lacks_all_means:
        names = [name for name in tensors if name.endswith("running_mean")]
        tensors = {name: value for name, value in tensors.items() if name not in names}
        missing = "running_mean"
    else:
        del tensors[missing]
    torch.save(tensors, tmp_path / "G.pth")
    message = refusal(
        import_weights,
        ImportOptions(tmp_path / "G.pth"),
        Workdir(tmp_path / "x"),
        SMALL_DISCRIMINATOR,
    )
    assert "G.pth: has no tensor model.model.1.model." in message
    assert missing in message
    assert not (tmp_path / "x").exists()


def test_damaged_averages_are_refused(tmp_path):
    weights = save(randomize(Generator(depth=5, features=4)), tmp_path / "G.pth")
    workdir = Workdir(tmp_path / "run")
    import_weights(ImportOptions(weights), workdir, SMALL_DISCRIMINATOR)
    item = workdir.checkpoint(0) / "generator_statistics"
    [path, *_] = [path for path in item.rglob("*") if path.parent.name == "d"]
    path.write_bytes(b"x" + path.read_bytes()[1:])
    message = refuse("export", f"--workdir={workdir}", f"--output={tmp_path}/out.pth")
    assert f"{item}: cannot be restored (generator_statistics/" in message
