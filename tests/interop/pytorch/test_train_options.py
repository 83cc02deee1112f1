"""An import takes from train_opt.txt what the weights do not determine, and says so."""

import shutil

import pytest
from helpers.refusals import refusal

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

import torch
from helpers.torch_blocks import Generator, PatchDiscriminator, PixelDiscriminator, randomize

from pix2pix_jax.config import Config, Data, Model, Optimizer, preset, resolve
from pix2pix_jax.config.files import read_config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.import_report import closest_preset
from pix2pix_jax.interop.import_weights import ImportOptions, import_weights
from pix2pix_jax.interop.pytorch.train_options import TrainOptions
from pix2pix_jax.runs.workdir import Workdir

OPTIONS = {  # other values than those of a run without this file
    "batch_size": "4",
    "beta1": "0.4",
    "crop_size": "64",
    "dataroot": "./my pairs: new",
    "direction": "BtoA",
    "gan_mode": "lsgan",
    "gpu_ids": "0",
    "init_gain": "0.05",
    "init_type": "xavier",
    "input_nc": "3",
    "isTrain": "True",
    "lambda_L1": "50.0",
    "load_size": "80",
    "lr": "0.0001",
    "lr_policy": "linear",
    "model": "pix2pix",
    "n_epochs": "100",
    "n_epochs_decay": "50",
    "n_layers_D": "2",
    "ndf": "8",
    "netD": "n_layers",
    "ngf": "4",
    "no_dropout": "True",
    "no_flip": "True",
    "norm": "batch",
    "max_dataset_size": "5",
    "output_nc": "3",
    "preprocess": "resize_and_crop",
    "serial_batches": "True",
    "suffix": "",
}


def file_text(options):
    """The content of a train_opt.txt; every second line has a default."""
    lines = ["----------------- Options ---------------"]
    for number, (name, value) in enumerate(sorted(options.items())):
        default = "\t[default: facades]" if number % 2 else ""
        lines.append(f"{name:>25}: {value:<30}{default}")
    return "\n".join([*lines, "----------------- End -------------------", ""])


@pytest.fixture
def folder(tmp_path):
    """A folder with the networks of a training, without options."""
    generator = randomize(Generator(depth=5, features=4))
    torch.save(generator.state_dict(), tmp_path / "latest_net_G.pth")
    discriminator = randomize(PatchDiscriminator(features=8, layers=2))
    torch.save(discriminator.state_dict(), tmp_path / "latest_net_D.pth")
    return tmp_path


def import_with(folder, changes=None, *, base=None, fields=None, options=None, d=None):
    """Imports with a train_opt.txt, and returns the config of the run."""
    if changes is not None:
        (folder / "train_opt.txt").write_text(file_text(OPTIONS | changes))
    workdir = Workdir(folder / "run")
    weights = folder / "latest_net_G.pth"
    import_weights(
        ImportOptions(weights, d and folder / d, base, train_options=options), workdir, fields or {}
    )
    return read_config(workdir.config_file)


@pytest.mark.parametrize(
    ("end", "encoding"), [("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r\n", "utf-16")]
)
def test_an_import_takes_the_fields_that_the_weights_do_not_determine(
    folder, capsys, end, encoding
):
    text = file_text(OPTIONS).replace("\n", end)
    (folder / "train_opt.txt").write_bytes(text.encode(encoding))
    config = import_with(folder)
    data, model = config.data, config.model
    assert (data.direction, data.batch_size, data.flip) == ("BtoA", 4, False)
    assert (data.shuffle, data.max_pairs) == (False, 5)
    assert (data.image_size, data.load_size) == ((64, 64), (80, 80))
    assert (model.dropout, model.initializer, model.initializer_gain) == (0, "xavier", 0.05)
    assert (model.discriminator, model.discriminator_features) == ("patch34", 8)
    assert (config.loss.gan, config.loss.l1_weight) == ("lsgan", 50)
    assert (config.optimizer.learning_rate, config.optimizer.b1) == (1e-4, 0.4)
    assert (config.optimizer.schedule, config.train.epochs) == ("constant", None)
    lines = capsys.readouterr().out.splitlines()
    place = folder / "train_opt.txt"
    [line] = [line for line in lines if line.startswith(f"from {place}: ")]
    assert "data.direction BtoA, " in line
    assert "data.image_size 64,64" in line
    assert "optimizer.learning_rate 0.0001" in line
    assert any(f"dropout 0.0: taken from {place}; to change" in line for line in lines)
    assert (
        "not used: lr_policy linear, n_epochs 100, n_epochs_decay 50; the schedule of this run is "
        "constant; to change it, set train.epochs, train.decay_epochs, optimizer.schedule and "
        "optimizer.decay_per when you train" in lines
    )
    assert not any("WARNING" in line or "trained at" in line for line in lines)


def test_flags_and_the_experiment_s_own_values_win(folder, capsys):
    base = Config(
        data=Data(image_size=(32, 32), batch_size=2), optimizer=Optimizer(learning_rate=1e-3)
    )
    config = import_with(folder, {}, base=base, fields={"data.direction": "AtoB"})
    assert (config.data.direction, config.data.batch_size) == ("AtoB", 2)
    assert (config.data.image_size, config.data.load_size) == ((32, 32), (36, 36))
    assert (config.optimizer.learning_rate, config.optimizer.b1) == (1e-3, 0.4)
    out = capsys.readouterr().out
    assert "latest_net_G.pth was trained at 64x64; to train or translate at 64x64, import" in out
    line = out.split("train_opt.txt: ")[1].splitlines()[0]
    assert "optimizer.b1 0.4" in line
    assert "data.direction" not in line
    assert "learning_rate" not in line


def test_flags_are_not_said_to_come_from_the_options(folder, capsys):
    place = folder / "train_opt.txt"
    import_with(folder, {}, fields={"data.direction": "AtoB"})
    assert (
        f"\ndirection AtoB: set by flags; 64x64 images (height x width), dropout 0.0: taken from "
        f"{place}; to change these, import again" in capsys.readouterr().out
    )
    fields = {"data.direction": "AtoB", "data.image_size": "32,32", "model.dropout": "0.5"}
    workdir = Workdir(folder / "flags")
    import_weights(ImportOptions(folder / "latest_net_G.pth"), workdir, fields)
    assert (
        "\ndirection AtoB, 32x32 images (height x width), dropout 0.5: set by flags; to change"
        in capsys.readouterr().out
    )


def test_the_load_size_of_the_options_follows_a_flag_for_the_image_size(folder, capsys):
    """80 is 1.25 times 64, so images of 128 pixels are cropped from 160 pixels."""
    config = import_with(folder, {}, fields={"data.image_size": "128,128"})
    assert (config.data.load_size, config.data.load_scale) == ((160, 160), 1.25)
    line = capsys.readouterr().out.split("train_opt.txt: ")[1].splitlines()[0]
    assert "data.load_scale 1.25" in line
    assert "data.load_size" not in line
    assert "data.image_size" not in line


def test_the_discriminator_of_a_file_wins_over_the_options(folder):
    config = import_with(folder, {}, d="latest_net_D.pth")
    assert (config.model.discriminator, config.model.discriminator_features) == ("patch34", 8)


@pytest.mark.parametrize(
    ("changes", "said", "found"),
    [
        ({"ngf": "64"}, "ngf 64", "4"),
        ({"norm": "instance"}, "norm instance", "batch"),
        ({"input_nc": "1", "output_nc": "4"}, "input_nc 1, output_nc 4", "3, 3"),
        ({"netG": "unet_256"}, "netG unet_256", "a U-Net of depth 5"),
        ({"netG": "resnet_9blocks"}, "netG resnet_9blocks", "a U-Net of depth 5"),
        ({"netD": "basic"}, "netD basic (patch70)", "patch34"),
        ({"ndf": "64"}, "ndf 64", "8"),
        ({"n_layers_D": "9"}, "netD n_layers with n_layers_D 9", "patch34"),
        ({"netD": "none"}, "netD none", "patch34"),
        ({"crop_size": "72"}, "crop_size 72", "a U-Net that halves images 5 times"),
        (
            {"preprocess": "resize", "load_size": "80"},
            "load_size 80",
            "a U-Net that halves images 5 times",
        ),
    ],
)
def test_options_that_contradict_the_weights_are_refused(folder, changes, said, found):
    with pytest.raises(UsageError) as error:
        import_with(folder, changes, d="latest_net_D.pth")
    place = folder / "train_opt.txt"
    assert error.value.problem == f"{place}: says {said}, but the weights have {found}"
    assert error.value.fix.endswith("or --options=none")
    assert not (folder / "run").exists()
    config = import_with(folder, changes, options="none", d="latest_net_D.pth")
    assert (config.data.direction, config.model.dropout) == ("AtoB", 0.5)


def test_a_file_in_another_place_can_be_given(folder, tmp_path):
    place = tmp_path / "elsewhere" / "options.txt"
    place.parent.mkdir()
    place.write_text(file_text(OPTIONS))
    assert import_with(folder, options=str(place)).data.direction == "BtoA"
    missing = ImportOptions(folder / "latest_net_G.pth", train_options=str(tmp_path / "none.txt"))
    message = refusal(import_weights, missing, Workdir(folder / "x"), {})
    assert f"--options: {tmp_path}/none.txt cannot be read" in message


@pytest.mark.parametrize("text", ["", "\0\0", "hello", "a: b\nc: d\n", "<html>"])
def test_a_file_that_has_no_options_is_refused(folder, text):
    (folder / "train_opt.txt").write_text(text)
    with pytest.raises(UsageError) as error:
        import_with(folder)
    assert "train_opt.txt: has no options of pytorch-CycleGAN-and-pix2pix" in error.value.problem
    assert error.value.fix == (
        "give the train_opt.txt of these weights as --options=FILE, or --options=none"
    )


def test_a_line_of_many_spaces_is_read_in_linear_time(folder):
    """A pattern with three neighbouring repetitions would take hours for these lines."""
    spaces = " " * 100_000
    text = f"{spaces}direction:{spaces}BtoA{spaces}x\nnorm:{spaces}[default: batch]{spaces}\n"
    (folder / "train_opt.txt").write_text(text)
    values = TrainOptions.read(folder / "train_opt.txt").values
    assert values == {"direction": f"BtoA{spaces}x", "norm": ""}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ngf": "many"}, "ngf: many is not valid; correct this line, or give --options=none"),
        ({"direction": ""}, "direction: nothing is not valid"),
        (
            {"lr": "-1"},
            "lr -1: optimizer.learning_rate: -1.0 is too small; correct this line, or give "
            "--options=none",
        ),
        ({"lr": "nan"}, "lr nan: optimizer.learning_rate: "),
        ({"beta1": "1.0"}, "beta1 1.0: optimizer.b1: 1.0 is too large"),
        ({"batch_size": "0"}, "batch_size 0: data.batch_size: 0 is too small"),
        ({"batch_size": "1_0"}, "batch_size: 1_0 is not valid"),
        ({"lr": "1_0.0"}, "lr: 1_0.0 is not valid"),
        ({"crop_size": "0"}, "crop_size: 0 is not valid"),
        ({"crop_size": "1" + "0" * 400}, "crop_size: 1000"),
        ({"load_size": "-64"}, "load_size: -64 is not valid"),
        ({"no_flip": "maybe"}, "no_flip: maybe is not valid"),
    ],
)
def test_a_wrong_value_is_named(folder, changes, message):
    with pytest.raises(UsageError) as error:
        import_with(folder, changes)
    assert f"{folder}/train_opt.txt: {message}" in str(error.value)


@pytest.mark.parametrize(
    ("preprocess", "image_size", "load_size"),
    [
        ("resize_and_crop", 64, 80),
        ("resize", 80, 80),
        ("crop", 64, 64),
        ("scale_width_and_crop", 64, 80),
        ("none", 32, 36),
        ("scale_width", 32, 36),
    ],
)
def test_the_sizes_follow_from_the_preprocessing(folder, capsys, preprocess, image_size, load_size):
    """80 cannot be halved 5 times, so `resize` has another size here."""
    changes = {"preprocess": preprocess}
    if preprocess == "resize":
        changes |= {"load_size": "96"}
        image_size = load_size = 96
    config = import_with(folder, changes)
    assert config.data.image_size == (image_size, image_size)
    assert config.data.load_size == (load_size, load_size)
    line = f"preprocess {preprocess} (images are resized to data.load_size, then cropped)"
    assert (line in capsys.readouterr().out) == (preprocess not in ("resize_and_crop", "resize"))


def test_the_sizes_of_an_experiment_stay_together(folder):
    """The file has crops of 64 pixels from 80 pixels."""
    for sizes, image_size, load_size in [
        ({"load_scale": 1.0}, 64, 64),
        ({"load_size": (288, 288)}, 256, 288),
        ({"image_size": (32, 32)}, 32, 36),
        ({}, 64, 80),
    ]:
        shutil.rmtree(folder / "run", ignore_errors=True)
        data = import_with(folder, {}, base=Config(data=Data(**sizes))).data
        assert (data.image_size, data.load_size) == ((image_size,) * 2, (load_size,) * 2)


def test_what_the_options_lack_is_said_to_be_guessed(folder, capsys):
    import_with(folder, {"preprocess": "none"})
    place = folder / "train_opt.txt"
    assert (
        f"\ndirection BtoA, dropout 0.0: taken from {place}; 32x32 images (height x width): "
        "guessed, because train_opt.txt lacks it; to change these" in capsys.readouterr().out
    )


def test_n_layers_without_a_number_has_three_layers(folder):
    text = file_text({"netD": "n_layers", "direction": "BtoA"})
    (folder / "train_opt.txt").write_text(text)
    assert TrainOptions.read(folder / "train_opt.txt").discriminator() == "patch70"


def test_a_load_size_far_above_the_crop_size_is_kept(folder):
    """data.load_scale is at most 16."""
    config = import_with(folder, {"load_size": "1088"})
    assert (config.data.image_size, config.data.load_size) == ((64, 64), (1088, 1088))
    assert config.data.load_scale == Data().load_scale


def test_a_load_size_below_the_crop_size_is_told(folder, capsys):
    config = import_with(folder, {"load_size": "32"})
    assert config.data.image_size == config.data.load_size == (64, 64)
    assert "not available here: load_size 32 below crop_size" in capsys.readouterr().out


def test_files_of_older_versions_are_read(folder):
    old = {
        "batchSize": "2", "fineSize": "64", "loadSize": "96", "which_direction": "BtoA",
        "which_model_netD": "pixel", "resize_or_crop": "resize_and_crop", "no_lsgan": "True",
        "niter": "10", "niter_decay": "20", "ngf": "4", "norm": "batch",
    }  # fmt: skip
    (folder / "train_opt.txt").write_text(file_text(old))
    config = import_with(folder)
    assert (config.data.direction, config.data.batch_size) == ("BtoA", 2)
    assert (config.data.image_size, config.data.load_size) == ((64, 64), (96, 96))
    assert (config.loss.gan, config.model.discriminator) == ("vanilla", "pixel")
    assert TrainOptions.read(folder / "train_opt.txt").length() == "n_epochs 10, n_epochs_decay 20"


def test_the_wgan_of_the_pytorch_code_has_no_penalty(folder):
    config = import_with(folder, {"gan_mode": "wgangp"})
    assert (config.loss.gan, config.loss.gradient_penalty) == ("wgan_gp", 0)


def test_no_limit_of_the_pairs_is_not_listed(folder, capsys):
    assert import_with(folder, {"max_dataset_size": "inf"}).data.max_pairs is None
    assert "max_pairs" not in capsys.readouterr().out


def test_what_is_not_available_is_told(folder, capsys):
    options = {"model": "cycle_gan", "netD": "n_layers", "n_layers_D": "7", "pool_size": "50"}
    import_with(folder, options)
    assert (
        "not available here: pool_size 50; model cycle_gan (training here is that of pix2pix); "
        "netD n_layers with n_layers_D 7\n" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        ("batch", ("pytorch", {})),
        ("instance", ("pytorch_instance", {})),
        ("none", ("pytorch", {"norm": "none"})),
    ],
)
def test_an_import_says_which_preset_the_networks_have(folder, capsys, norm, expected):
    network = randomize(Generator(depth=5, features=4, norm=norm))
    torch.save(network.state_dict(), folder / "latest_net_G.pth")
    torch.save(PixelDiscriminator(norm=norm).state_dict(), folder / "D.pth")
    config = import_with(folder, d="D.pth")
    assert closest_preset(config) == expected
    line = f"; as in the preset {expected[0]}"
    if expected[1]:
        line += ", with model.norm none"
    assert line in capsys.readouterr().out
    if not expected[1]:  # A config with the preset has the same networks.
        own = resolve(
            preset(
                expected[0],
                Config(
                    data=Data(image_size=(32, 32)),
                    model=Model(features=4, discriminator="pixel"),
                ),
            )
        )
        assert own.model == config.model


def test_a_safetensors_file_of_this_project_needs_no_options(folder):
    from pix2pix_jax.interop.export import ExportOptions, export

    config = import_with(folder)
    export(config, Workdir(folder / "run"), ExportOptions(folder / "G.safetensors"))
    (folder / "train_opt.txt").write_text(file_text(OPTIONS))
    again = Workdir(folder / "again")
    import_weights(ImportOptions(folder / "G.safetensors"), again, {})
    assert read_config(again.config_file).data.direction == "AtoB"
    without = ImportOptions(folder / "G.safetensors", train_options="none")
    import_weights(without, Workdir(folder / "third"), {})
    given = ImportOptions(folder / "G.safetensors", train_options="train_opt.txt")
    message = refusal(import_weights, given, Workdir(folder / "x"), {})
    assert "G.safetensors has a config of its own; leave out" in message
