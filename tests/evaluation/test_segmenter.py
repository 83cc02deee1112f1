"""The class reader of the FCN-score, and the scores of known outputs."""

import io
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.refusals import refusal
from helpers.shared_folders import copy_once
from PIL import Image

from pix2pix_jax.config import Data
from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.data.examples import evaluation_example, labelled_example
from pix2pix_jax.data.images.palettes import CITYSCAPES, CMP, IGNORED, PALETTES
from pix2pix_jax.data.images.pixels import float_to_uint8
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.records import open_split
from pix2pix_jax.evaluation import scorer as scoring
from pix2pix_jax.evaluation import segmenter
from pix2pix_jax.evaluation.class_reader import (
    ClassReader,
    class_reader_name,
    open_class_reader,
    why_no_classes,
)
from pix2pix_jax.evaluation.fcn_score import confusion_matrices, fcn_score
from pix2pix_jax.evaluation.scorer import Scorer
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.random import stream_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.models.unet import translate_each

SIZE, STEPS = (32, 32), 600
RECIPE, RECIPE_FEATURES = segmenter.STEPS, segmenter.FEATURES  # `recipe` makes them smaller.


@pytest.fixture(scope="module")
def data(recipe, tmp_path_factory):
    """Forty pairs to train on, nine pairs to score (one more than a batch), and a segmenter."""

    def train_segmenter(folder):
        data = data_in(folder)
        open_class_reader(data, prepare(data))

    return data_in(copy_once(tmp_path_factory, "segmenter", train_segmenter))


def data_in(folder):
    return Data(
        direction="BtoA", image_size=SIZE, load_size=SIZE, synthetic_pairs=(40, 9, 1),
        data_dir=str(folder),
    )  # fmt: skip


@pytest.fixture(scope="module")
def dataset(data):
    return prepare(data)


@pytest.fixture(scope="module", autouse=True)
def recipe():
    """Makes segmenters small, so that they are trained in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter, "STEPS", {"synthetic_facades": STEPS})
        patch.setattr(segmenter, "FEATURES", 16)
        yield


@pytest.fixture(scope="module")
def class_reader(data, dataset):
    return open_class_reader(data, dataset)


@pytest.fixture(scope="module")
def records(dataset):
    return open_split(dataset, "val")


@pytest.fixture
def score_outputs(small, data, records, class_reader, monkeypatch):
    """A function that evaluates given outputs instead of the outputs of a generator."""
    config = replace(small, data=data)

    def score(outputs, class_reader=class_reader):
        numbers = {record["name"]: index for index, record in enumerate(records)}

        def example(record, data):
            return evaluation_example(record, data) | {"input": outputs[numbers[record["name"]]]}

        monkeypatch.setattr(scoring, "evaluation_example", example)
        monkeypatch.setattr(scoring, "generate", lambda generator, params, images, *_: images)
        return Scorer(config, records, class_reader).score({})

    return score


@pytest.fixture
def targets(data, records):
    return [evaluation_example(records[i], data)["target"] for i in range(len(records))]


def test_the_segmenter_reads_real_photos_far_better_than_chance(score_outputs, targets):
    truth = score_outputs(targets).ground_truth
    assert truth["per_pixel_accuracy"] > 0.75
    assert truth["class_iou"] > 0.35


def test_outputs_equal_to_the_targets_score_exactly_as_the_ground_truth(score_outputs, targets):
    result = score_outputs(targets)
    assert result.ground_truth == {name: result.metrics[name] for name in result.ground_truth}
    assert len(result.ground_truth) == 3
    assert result.metrics["l1"] == 0
    assert np.isposinf(result.metrics["psnr"])
    for name in ("ssim", "lab_l", "lab_a", "lab_b"):
        np.testing.assert_allclose(result.metrics[name], 1, atol=1e-6)


def test_shuffled_outputs_score_like_shuffled_label_maps(score_outputs, targets, data, records):
    """Only the parts that all buildings share are right, such as sky above and wall below."""
    result = score_outputs(targets[1:] + targets[:1])
    maps = np.stack(
        [labelled_example(records[i], data, CMP)["classes"] for i in range(len(records))]
    )
    chance = fcn_score(confusion_matrices(maps, np.roll(maps, -1, 0), len(CMP.classes)).sum(0))
    for name, value in chance.items():
        assert abs(result.metrics[name] - value) < 0.1
        assert result.metrics[name] < 0.75 * result.ground_truth[name]


def test_noise_scores_far_below_real_photos(score_outputs, targets):
    noise = np.random.default_rng(0).uniform(-1, 1, (len(targets), *SIZE, 3)).astype(np.float32)
    result = score_outputs(list(noise))
    assert result.metrics["class_iou"] < 0.5 * result.ground_truth["class_iou"]


def test_every_pair_counts_exactly_once(score_outputs, targets):
    """Nine pairs in batches of eight: the copies that fill the last batch do not count."""
    rng = np.random.default_rng(0)
    outputs = [np.clip(t + rng.normal(0, 0.2, t.shape), -1, 1).astype("f4") for t in targets]
    result = score_outputs(outputs)
    errors = [np.abs(o - t).mean() for o, t in zip(outputs, targets, strict=True)]
    np.testing.assert_allclose(result.metrics["l1"], np.mean(errors), rtol=1e-5)
    np.testing.assert_allclose([pair["l1"] for pair in result.pairs], errors, rtol=1e-5)
    for name in ("psnr", "ssim"):
        mean = np.mean([pair[name] for pair in result.pairs])
        np.testing.assert_allclose(result.metrics[name], mean, rtol=1e-6)
    for sides in result.histograms.values():
        assert all(counts.sum() == 9 * 32 * 32 for counts in sides.values())
    assert list(result.metrics) == list(METRICS)


def test_rows_of_the_confusion_matrix_are_true_classes(score_outputs, targets, data, records):
    """If every pixel is read as facade, facade has accuracy 1 and every other class accuracy 0."""
    facade = 1
    result = score_outputs(
        targets, ClassReader(lambda images: np.full(images.shape[:3], facade), CMP, "")
    )
    maps = np.stack(
        [labelled_example(records[i], data, CMP)["classes"] for i in range(len(records))]
    )
    share, num_classes = (maps == facade).mean(), len(np.unique(maps))
    np.testing.assert_allclose(result.metrics["per_pixel_accuracy"], share)
    np.testing.assert_allclose(result.metrics["per_class_accuracy"], 1 / num_classes)
    np.testing.assert_allclose(result.metrics["class_iou"], share / num_classes)


@pytest.mark.slow
def test_the_noise_of_a_pair_does_not_depend_on_its_batch(small, data, records, monkeypatch):
    """The dropout depends on the index of the pair in the split, not on its batch."""
    config = replace(small, data=data)
    params = create_state(config).generator.params
    shown = {}
    for size in (8, 2):
        monkeypatch.setattr(scoring, "BATCH_SIZE", size)
        shown[size] = {}
        Scorer(config, records, None).score(params, shown[size].__setitem__)
    key = stream_key(config, "evaluation")
    for index in (0, 1, 7, 8):
        record = records[index]
        image = evaluation_example(record, data)["input"][None]
        keys = jax.random.fold_in(key, index)[None]
        expected = translate_each(make_generator(config), {"params": params}, image, keys)[0]
        for pictures in shown.values():
            np.testing.assert_allclose(
                pictures[record["name"].decode()]["output"], expected, atol=1e-5
            )
    without = translate_each(make_generator(config), {"params": params}, image, None)[0]
    assert np.abs(without - expected).max() > 1e-3


def test_outputs_that_are_not_finite_are_refused(score_outputs, targets):
    assert "infinite or NaN" in refusal(
        score_outputs, [np.full_like(target, np.nan) for target in targets]
    )


def test_without_a_class_reader_there_is_no_fcn_score(score_outputs, targets):
    result = score_outputs(targets, None)
    assert result.ground_truth == {}
    assert list(result.metrics) == ["l1", "psnr", "ssim", "lab_l", "lab_a", "lab_b"]


def test_a_segmenter_is_trained_once(data, dataset, class_reader, monkeypatch):
    monkeypatch.setattr(segmenter, "train_segmenter", None)
    again = open_class_reader(data, dataset)
    assert again.name == class_reader.name
    image = evaluation_example(open_split(dataset, "val")[0], data)["target"][None]
    np.testing.assert_array_equal(again.read(image), class_reader.read(image))


def test_the_error_for_a_damaged_segmenter_names_the_file(data, dataset, class_reader):
    path = segmenter.segmenter_path(data, dataset, CMP)
    content = path.read_bytes()
    flipped = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    try:
        for damaged in (content[:100], flipped, b""):
            path.write_bytes(damaged)
            assert f"{path}: is damaged" in refusal(open_class_reader, data, dataset)
            assert class_reader_name(data, dataset) is None
    finally:
        path.write_bytes(content)


def test_generated_label_maps_are_read_by_their_colours(data, dataset, records):
    """No segmenter is needed (tables 5 and 6 of the paper), and targets get their own classes."""
    photo_to_labels = replace(data, direction="AtoB")
    by_colour = open_class_reader(photo_to_labels, dataset)
    assert by_colour.name == "nearest colour"
    target = evaluation_example(records[0], photo_to_labels)["target"]
    classes = labelled_example(records[0], data, CMP)["classes"]
    np.testing.assert_array_equal(by_colour.read(target[None])[0], classes)


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"name": "folder"}, "data.name: folder"), ({"target_channels": 1}, "data.target_channels")],
)
def test_datasets_without_classes_have_no_fcn_score(data, dataset, change, expected):
    assert why_no_classes(data, dataset) == ""
    assert why_no_classes(replace(data, **change), dataset).startswith(expected)


def write_facades(folder, palette, photo_left, split="train"):
    """Pairs painted in the colours of a palette, as files of a folder dataset."""
    rng = np.random.default_rng(0)
    for index in range(3):
        photo = rng.integers(100, 160, (32, 32, 3))
        label = np.array(list(palette.classes.values()))[rng.integers(0, 12, (4, 4))]
        sides = [photo, label.repeat(8, 0).repeat(8, 1)]
        path = folder / split / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.hstack(sides if photo_left else sides[::-1]).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return str(folder)


@pytest.mark.parametrize("palette", PALETTES["facades"])
def test_facades_are_read_in_both_palettes(data, tmp_path, palette):
    """The public set and the original set give different classes to some blues."""
    source = write_facades(tmp_path / "pairs", palette, photo_left=True)
    facades = replace(data, name="facades", source=source, data_dir=str(tmp_path), direction="AtoB")
    dataset = prepare(facades)
    assert why_no_classes(facades, dataset) == ""
    by_colour = open_class_reader(facades, dataset)
    assert by_colour.palette == palette
    record = open_split(dataset, "train")[0]
    truth = labelled_example(record, facades, palette)["classes"]
    assert len(np.unique(truth)) > 5
    np.testing.assert_array_equal(
        by_colour.read(evaluation_example(record, facades)["target"][None])[0], truth
    )


def test_photos_in_place_of_label_maps_are_refused(data, tmp_path):
    """The sides of the pairs are swapped. A pixel of a photo has a nearest class, too."""
    source = write_facades(tmp_path / "pairs", CMP, photo_left=False)
    facades = replace(data, name="facades", source=source, data_dir=str(tmp_path))
    message = why_no_classes(facades, prepare(facades))
    assert message.startswith("data.source: ")
    assert "A must be the photo" in message


def test_an_output_in_an_ignored_colour_counts_as_the_nearest_class(data, dataset):
    """Black is no class of Cityscapes, so a black output is wrong, but its pixels count."""
    street = replace(data, name="cityscapes", direction="AtoB")
    black = open_class_reader(street, dataset).read(np.full((1, 8, 8, 3), -1, np.float32))
    assert (black < 19).all()
    truth = np.random.default_rng(0).integers(0, 19, (1, 8, 8))
    assert confusion_matrices(truth, black, 19).sum() == 64


def test_a_class_reader_has_no_name_before_its_segmenter_is_trained(
    data, dataset, class_reader, monkeypatch
):
    assert class_reader_name(replace(data, direction="AtoB"), dataset) == "nearest colour"
    assert class_reader_name(data, dataset) == class_reader.name
    monkeypatch.setattr(segmenter, "STEPS", {"synthetic_facades": STEPS + 1})
    assert class_reader_name(data, dataset) is None


@pytest.mark.parametrize(
    ("name", "palette", "expected"),
    [
        ("synthetic_facades", CMP, "synthetic_facades-128x256-b966e2a3a17f"),
        ("facades", CMP, "facades-128x256-4cb7c6e498f8"),
        ("cityscapes", CITYSCAPES, "cityscapes-128x256-fc745daba4d3"),
    ],
)
def test_the_file_name_of_a_segmenter_does_not_change(monkeypatch, name, palette, expected):
    """Another name would train every segmenter again, and scores would not be comparable."""
    monkeypatch.setattr(segmenter, "STEPS", RECIPE)
    monkeypatch.setattr(segmenter, "FEATURES", RECIPE_FEATURES)
    monkeypatch.setattr(segmenter, "dataset_fingerprint", lambda dataset: "pairs")
    data = Data(name=name, image_size=(128, 256), data_dir="/data")
    path = segmenter.segmenter_path(data, None, palette)
    assert str(path) == f"/data/segmenters/{expected}/segmenter.safetensors"


def test_every_dataset_with_a_palette_has_segmenter_steps():
    assert RECIPE.keys() == PALETTES.keys()


def test_a_segmenter_that_cannot_be_written_is_not_trained(data, dataset, tmp_path):
    (tmp_path / "segmenters").touch()
    with pytest.raises(OSError, match=str(tmp_path / "segmenters")):
        open_class_reader(replace(data, data_dir=str(tmp_path)), dataset)


def test_a_dataset_without_a_training_split_has_no_segmenter(data, tmp_path):
    """From photos to labels, no segmenter is needed: label maps are read by their colours."""
    source = write_facades(tmp_path / "pairs", CMP, photo_left=True, split="test")
    facades = replace(data, name="facades", source=source, data_dir=str(tmp_path))
    dataset = prepare(facades)
    assert why_no_classes(facades, dataset).startswith(f"data.source: {source} has no train/")
    assert class_reader_name(facades, dataset) is None
    photo_to_labels = replace(facades, direction="AtoB")
    assert why_no_classes(photo_to_labels, dataset) == ""
    assert open_class_reader(photo_to_labels, dataset).palette == CMP


def test_a_segmenter_that_diverged_is_not_written(tmp_path):
    path = tmp_path / "segmenter.safetensors"
    params = {"a": np.array([np.nan])}
    message = refusal(segmenter.write_segmenter, path, params, {}, "choose another metric")
    assert "diverged" in message
    assert message.endswith("B the label map, or choose another metric")
    assert not path.exists()


def test_the_classes_of_a_photo_do_not_depend_on_its_batch(targets, class_reader):
    alone = np.stack([class_reader.read(target[None])[0] for target in targets])
    np.testing.assert_array_equal(class_reader.read(np.stack(targets)), alone)


def test_classes_and_photo_get_the_same_jitter(records, data):
    """If the photo is the label map, both still agree after resize, crop and mirror."""
    record = records[0]
    jitter = replace(data, load_size=(40, 40), flip=True)
    twin = {"name": record["name"], "files": [_label_twice(record)]}
    for seed in range(8):
        example = labelled_example(twin, jitter, CMP, np.random.default_rng(seed))
        assert set(np.unique(example["classes"])) <= set(range(12)) | {IGNORED}
        painted = np.array(list(CMP.classes.values()), np.uint8)[example["classes"]]
        difference = np.abs(float_to_uint8(example["photo"]).astype(int) - painted)
        assert np.median(difference) < 8  # Bicubic resizing overshoots at edges.
    straight = labelled_example(twin, jitter, CMP)
    painted = np.array(list(CMP.classes.values()), np.uint8)[straight["classes"]]
    np.testing.assert_array_equal(float_to_uint8(straight["photo"]), painted)


def _label_twice(record):
    """The bytes of a pair with the label map on both sides."""
    image = np.asarray(Image.open(io.BytesIO(record["files"][0])))
    label = image[:, image.shape[1] // 2 :]
    file = io.BytesIO()
    Image.fromarray(np.hstack([label, label])).save(file, "PNG")
    return file.getvalue()
