"""Exported files give the same outputs as JAX, without this package and for other image sizes."""

import importlib.util
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.command_line import refused, run
from helpers.refusals import refusal
from helpers.states import state_of
from jax import export as jax_export
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.config import PRESETS, Config, Data, Model, preset
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.interop import export as exporting
from pix2pix_jax.interop.export import ExportOptions, export
from pix2pix_jax.interop.formats import EXPORT_FORMATS, write_onnx
from pix2pix_jax.interop.import_weights import ImportOptions, import_weights, write_run
from pix2pix_jax.interop.trained_network import TrainedNetwork, max_difference
from pix2pix_jax.interop.weight_reader import read_weights
from pix2pix_jax.models.unet import translate_each
from pix2pix_jax.runs.workdir import Workdir

HAS_ONNX = importlib.util.find_spec("onnxruntime") is not None
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="pip install -e '.[onnx]'")
INSTALLED_FORMATS = [name for name in EXPORT_FORMATS if name != "onnx" or HAS_ONNX]
SOURCE = "somewhere/on/this/machine"


def make_config(preset_name="paper", **model):
    data = Data(
        name="folder", source=SOURCE, data_dir=SOURCE, image_size=(32, 32), input_channels=1
    )
    small = Model(features=8, depth=5, discriminator="patch16", discriminator_features=4)
    config = preset(preset_name, Config(data=data, model=small))
    return resolve(replace(config, model=replace(config.model, **model)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of a run and of its generator in every format; the config and state of the run."""
    folder = tmp_path_factory.mktemp("exported")
    config = make_config()
    state = state_of(config)
    write_run(Workdir(folder / "run"), config, state)
    for name in INSTALLED_FORMATS:
        options = ExportOptions(folder / f"generator.{name}", name)
        export(config, Workdir(folder / "run"), options)
    return folder, config, state


def images(b, h, w, c=1):
    return np.random.default_rng(1).uniform(-1, 1, (b, h, w, c)).astype(np.float32)


def expected_output(config, state, x):
    y = translate_each(make_generator(config), {"params": state.generator.params}, x, None)
    assert np.std(y) > 0.1
    return np.asarray(y)


SCRIPT_WITHOUT_THIS_PACKAGE = """
import sys
import numpy as np
from jax import export
with open("generator.stablehlo", "rb") as file:
    generator = export.deserialize(bytearray(file.read()))
np.save("output.npy", generator.call(np.load("image.npy")))
assert "pix2pix_jax" not in sys.modules
"""


@pytest.mark.parametrize("shape", [(1, 32, 32), pytest.param((3, 64, 96), marks=pytest.mark.slow)])
def test_stablehlo_runs_without_this_package(exported, shape):
    folder, config, state = exported
    np.save(folder / "image.npy", images(*shape))
    subprocess.run([sys.executable, "-c", SCRIPT_WITHOUT_THIS_PACKAGE], cwd=folder, check=True)
    expected = expected_output(config, state, images(*shape))
    np.testing.assert_allclose(np.load(folder / "output.npy"), expected, atol=1e-5)


def test_one_stablehlo_file_runs_on_cpu_cuda_and_tpu(exported):
    content = (exported[0] / "generator.stablehlo").read_bytes()
    reloaded = jax_export.deserialize(bytearray(content))
    assert reloaded.platforms == ("cpu", "cuda", "tpu")
    for lowering in ("stablehlo.dot_general", "stablehlo.convolution"):  # for CPU and TPU
        assert lowering in reloaded.mlir_module()
    with pytest.raises(ValueError, match="32"):
        reloaded.call(images(1, 40, 32))


@pytest.mark.parametrize("name", INSTALLED_FORMATS)
def test_exported_files_name_no_path_of_this_machine(exported, name):
    folder, config, _ = exported
    assert SOURCE in config.data.source
    content = (folder / f"generator.{name}").read_bytes()
    for place in (SOURCE, str(Path(exporting.__file__).parents[2]), "site-packages", "layers.py"):
        assert place.encode() not in content


def run_onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [y] = session.run(None, {"image": x.transpose(0, 3, 1, 2)})
    return y.transpose(0, 2, 3, 1), session


@needs_onnx
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 96)])
def test_an_onnx_file_takes_any_batch_size_and_image_size(exported, shape):
    folder, config, state = exported
    found, session = run_onnx(folder / "generator.onnx", images(*shape))
    expected = expected_output(config, state, images(*shape))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert session.get_inputs()[0].shape == ["b", 1, "h", "w"]
    assert session.get_modelmeta().custom_metadata_map["step"] == "0"


GENERATORS = [make_config(name) for name in PRESETS] + [
    make_config(norm="none"),
    make_config(norm="instance", norm_affine=False, bias="all", depth=4),
    make_config(generator="encoder_decoder"),
    make_config(depth=2),
    make_config(depth=1),
]


@needs_onnx
@pytest.mark.parametrize("config", GENERATORS)
def test_every_generator_can_be_written_as_onnx(config, tmp_path):
    state, path = state_of(config), tmp_path / "generator.onnx"
    write_onnx(path, generator_of(config, state.generator.params))
    x = images(2, 64, 32)
    found, _ = run_onnx(path, x)
    y = translate_each(make_generator(config), {"params": state.generator.params}, x, None)
    assert np.std(y) > 0.01
    np.testing.assert_allclose(found, y, atol=2e-5)


def test_importing_exported_safetensors_gives_the_exported_run(exported, tmp_path):
    folder, config, state = exported
    d_path, path = tmp_path / "D.safetensors", tmp_path / "G.safetensors"
    options = ExportOptions(path, "safetensors", 0, d_path)
    export(config, Workdir(folder / "run"), options)
    with safe_open(path, "numpy") as file:
        names = set(file.keys())
        assert file.metadata()["step"] == "0"
    assert {"down1.kernel", "down2_norm.scale", "up5.bias"} <= names
    import_weights(ImportOptions(path, d_path), Workdir(tmp_path / "back"), {})
    data = replace(config.data, source=None, data_dir=Data().data_dir)
    found = read_config(tmp_path / "back" / "config.json")
    # The norm of the bottleneck no longer depends on the image size.
    model = replace(config.model, bottleneck_norm=False)
    assert asdict(found) == asdict(replace(config, data=data, model=model))
    again = tmp_path / "G2.safetensors", tmp_path / "D2.safetensors"
    back = tmp_path / "back"
    options = ExportOptions(again[0], "safetensors", 0, again[1])
    export(found, Workdir(back), options)
    for file, before in zip(again, (path, d_path), strict=True):
        jax.tree.map(np.testing.assert_array_equal, load_file(file), load_file(before))


def test_the_error_names_a_field_that_this_version_does_not_have(tmp_path):
    path = tmp_path / "G.safetensors"
    save_file({"a": np.zeros(1)}, path, {"config": '{"data": {"zoom": 2}}'})
    message = refusal(read_weights, path, "generator")
    assert message.startswith(f"{path}: has a config that this version cannot read (data.zoom: ")


def test_an_exported_discriminator_can_be_imported_with_another_generator(exported, tmp_path):
    folder, config, state = exported
    workdir, d_path = Workdir(folder / "run"), tmp_path / "D.safetensors"
    export(config, workdir, ExportOptions(tmp_path / "G.pth", "pth", 0))
    options = ExportOptions(tmp_path / "G.safetensors", "safetensors", 0, d_path)
    export(config, workdir, options)
    import_weights(ImportOptions(tmp_path / "G.pth", d_path), Workdir(tmp_path / "run"), {})
    found = read_config(tmp_path / "run" / "config.json")
    assert (found.model.discriminator, found.model.discriminator_features) == ("patch16", 4)
    assert found.model.bias == config.model.bias == "paper"
    params = read_network(Workdir(tmp_path / "run"), found, 0, "discriminator").params
    jax.tree.map(np.testing.assert_array_equal, params, state.discriminator.params)
    swapped = ImportOptions(d_path, tmp_path / "G.safetensors"), Workdir(tmp_path / "x"), {}
    assert "D.safetensors: contains a discriminator; give" in refusal(import_weights, *swapped)
    other = make_config(norm="instance", norm_affine=False, bias="all")
    write_run(Workdir(tmp_path / "other"), other, state_of(other))
    options = ExportOptions(tmp_path / "H.safetensors", "safetensors", 0)
    export(other, Workdir(tmp_path / "other"), options)
    args = ImportOptions(tmp_path / "H.safetensors", d_path), Workdir(tmp_path / "x"), {}
    message = refusal(import_weights, *args)
    expected = "D.safetensors: was trained with model.norm batch, but the generator was"
    assert expected in message


@pytest.mark.parametrize("has_norm", [None, True])
def test_imported_weights_keep_their_bottleneck_norm_at_another_image_size(has_norm, tmp_path):
    config = make_config(depth=5, bottleneck_norm=has_norm)
    write_run(Workdir(tmp_path / "run"), config, state_of(config))
    path = tmp_path / "G.safetensors"
    export(config, Workdir(tmp_path / "run"), ExportOptions(path, step=0))
    data = replace(config.data, image_size=(64, 64), load_size=None)
    base = replace(config, data=data, model=replace(config.model, depth=None, bottleneck_norm=None))
    import_weights(ImportOptions(path, base=base), Workdir(tmp_path / "back"), {})
    found = read_config(tmp_path / "back" / "config.json")
    assert (found.data.image_size, found.model.bottleneck_norm) == ((64, 64), bool(has_norm))


def test_a_file_whose_outputs_differ_from_jax_is_not_written(exported, tmp_path, monkeypatch):
    folder, config, _ = exported
    monkeypatch.setattr(exporting, "max_difference", lambda *_: 0.5)
    options = ExportOptions(tmp_path / "G.pth", "pth", discriminator=tmp_path / "D.pth")
    args = config, Workdir(folder / "run"), options
    message = refusal(export, *args)
    assert "the outputs of the file differ from the outputs of JAX by 5.0e-01" in message
    monkeypatch.setattr(exporting, "max_difference", lambda *_: np.nan)
    refusal(export, *args)
    differences = iter([0.0, 0.5])  # for the generator, then for the discriminator
    monkeypatch.setattr(exporting, "max_difference", lambda *_: next(differences))
    assert "D.pth: was not written" in refusal(export, *args)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format_flag", "suffix"), [(None, "safetensors"), ("stablehlo", "pth")])
def test_the_discriminator_may_have_another_format_than_the_generator(
    exported, tmp_path, capsys, format_flag, suffix
):
    folder, config, state = exported
    output = tmp_path / ("G" if format_flag else "G.stablehlo")
    discriminator = tmp_path / f"D.{suffix}"
    options = ExportOptions(output, format_flag, discriminator=discriminator)
    export(config, Workdir(folder / "run"), options)
    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if not line.startswith("WARNING: ")]
    assert lines[0].startswith(f"{output}: generator of step 0 as stablehlo, ")
    assert lines[1].startswith(f"{discriminator}: discriminator of step 0 as {suffix}, ")
    content = output.read_bytes()
    assert jax_export.deserialize(bytearray(content)).platforms == ("cpu", "cuda", "tpu")
    params = state.discriminator.params
    found = read_weights(discriminator, "discriminator").fit_to(params, config.model)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_both_networks_are_exported_at_the_same_step(exported, tmp_path, monkeypatch):
    """A run that is still training may save a newer checkpoint between the two files."""
    folder, config, _ = exported
    steps, restore = [], TrainedNetwork.restore
    monkeypatch.setattr(
        TrainedNetwork,
        "restore",
        lambda workdir, config, step, name: steps.append(step) or restore(workdir, config, 0, name),
    )
    options = ExportOptions(tmp_path / "G.pth", discriminator=tmp_path / "D.pth")
    export(config, Workdir(folder / "run"), options)
    assert steps == ["newest", 0]


def test_a_bias_that_the_pytorch_code_lacks_is_refused(tmp_path):
    config = make_config(discriminator="pixel")
    state = state_of(config)
    write_run(Workdir(tmp_path / "run"), config, state)
    options = ExportOptions(tmp_path / "G.pth", "pth", discriminator=tmp_path / "D.pth")
    message = refusal(export, config, Workdir(tmp_path / "run"), options)
    assert "D.pth: the discriminator has a bias in its layer logits, but this layer" in message
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def generator_of(config, params):
    return TrainedNetwork("generator", config, make_generator(config), params, 0)


def test_max_difference_is_large_for_different_parameters(exported):
    _, config, state = exported
    params = state.generator.params
    network = generator_of(config, params)
    assert max_difference(network, network.compile_with(params)) < 1e-6
    other = jax.tree.map(lambda leaf: 1.01 * leaf, params)
    assert max_difference(network, network.compile_with(other)) > 1e-4


def test_a_network_that_the_format_cannot_hold_is_refused(exported, tmp_path):
    folder, config, _ = exported
    for name in ("tf_tutorial", "keras_tutorial"):
        other, workdir = make_config(name), Workdir(tmp_path / name)
        write_run(workdir, other, state_of(other))
        options = ExportOptions(tmp_path / "G.pth", "pth")
        assert "but the PyTorch code supports only" in refusal(export, other, workdir, options)
    workdir = Workdir(folder / "run")
    tutorial = make_config(discriminator="tutorial")
    assert "does not have tutorial" in refusal(
        EXPORT_FORMATS["pth"].check, tutorial, "discriminator"
    )
    options = ExportOptions(tmp_path / "G.onnx", discriminator=tmp_path / "D")
    message = refusal(export, config, workdir, options)
    assert message.startswith("--discriminator: onnx files can contain only generators; give ")
    files = [f"--discriminator={tmp_path}/D.{suffix}" for suffix in ("safetensors", "pth")]
    assert message.endswith(f"give {' or '.join(files)}")
    options = ExportOptions(tmp_path / "G.onnx", "pth", discriminator=tmp_path / "D.pth")
    message = refusal(export, config, workdir, options)
    assert message.startswith(f"--output: {tmp_path}/G.onnx has the suffix of another format than ")
    assert message.endswith(f"; give --output={tmp_path}/G.pth, or leave out --format")
    assert "is a folder" in refusal(export, config, workdir, ExportOptions(tmp_path, "onnx"))
    assert not (tmp_path / "G.pth").exists()


def test_the_table_of_formats_imports_no_large_library():
    """`pix2pix --help` reads the table, and must be fast."""
    code = "import sys, pix2pix_jax.interop.formats; assert not {'jax', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_an_exported_run_is_imported_by_the_command_line(exported, tmp_path):
    folder, *_ = exported
    run_of = f"--workdir={folder / 'run'}"
    files = f"--output={tmp_path / 'G.pth'}", f"--discriminator={tmp_path / 'D.pth'}"
    status, out, err = run("export", run_of, *files, "--format=pth", fork=False)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    # The run has no pairs, so the running averages of both networks are not known.
    for name, line in zip("GD", lines[:2], strict=True):
        assert line.startswith(f"WARNING: {tmp_path}/{name}.pth: `test.py --eval` of the PyTorch")
    assert len(lines) == 4
    weights = f"--weights={tmp_path / 'G.pth'}", files[1], f"--workdir={tmp_path / 'back'}"
    status, out, err = run("import", *weights, "--config.data.direction=BtoA", fork=False)
    assert (status, err) == (0, "")
    assert "unet of depth 5, 8 features, 1 to 3 channels, batch norm; patch16" in out
    refused("already has a run", "import", *weights)
    no_format = "names no format; give --format="
    refused(no_format, "export", run_of, f"--output={tmp_path / 'G.pt'}")
    refused("G.pth exists", "export", run_of, files[0])
    refused("is a folder; give a file", "export", run_of, f"--output={tmp_path}")
    refused("--output: is missing", "export", run_of, "--format=onnx")
    refused("--weights: is missing", "import", weights[2])
    new = f"--output={tmp_path / 'new'}"
    refused("no checkpoint 3", "export", run_of, new, "--format=onnx", "--step=3")
    refused(
        "G.pth has the suffix of another format than onnx",
        "export",
        run_of,
        files[0],
        "--format=onnx",
    )
    refused(
        "is also the file of the generator",
        "export",
        run_of,
        new,
        "--format=pth",
        new.replace("output", "discriminator"),
    )
