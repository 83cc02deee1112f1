"""batches[step] is a pure function; an epoch has each pair once; A and B get the same crop."""

import io
from dataclasses import replace
from itertools import islice

import jax
import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.config import Config, Data
from pix2pix_jax.data.augment import crop_batch, scale_batch
from pix2pix_jax.data.examples import evaluation_example
from pix2pix_jax.data.images.pixels import float_to_uint8
from pix2pix_jax.data.pipeline import (
    batch_names,
    load_resident_pairs,
    make_crop_batches,
    make_image_batches,
    pair_order,
    prefetch,
)

PLAIN = Data(image_size=(8, 8), load_size=(8, 8), flip=False)


def record(name: str, *images: np.ndarray | Image.Image) -> dict:
    """A record like those of `open_split`: the bytes of a side-by-side PNG file, or of A and B."""
    files = []
    for image in images:
        file = io.BytesIO()
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(file, "PNG")
        files.append(file.getvalue())
    return {"name": name.encode(), "files": files}


def coordinates(height: int, width: int) -> np.ndarray:
    """An image in which the red of a pixel is its row, and the green is its column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def numbered_records(count: int) -> list[dict]:
    """Records of side-by-side images; the blue of each pixel is the number of the record."""
    return [record(f"{i}", coordinates(12, 24) + np.uint8([0, 0, i])) for i in range(count)]


def record_numbers(batch: dict) -> list[int]:
    return batch["input"][:, 0, 0, 2].tolist()


def assert_same(batch: dict, other: dict):
    assert batch.keys() == other.keys()
    for name in batch:
        np.testing.assert_array_equal(batch[name], other[name])


JITTER = Config(data=Data(image_size=(8, 8), load_size=(10, 10), batch_size=4))
RECORDS = numbered_records(6)


def test_a_batch_is_a_pure_function_of_its_step():
    batches, others = make_image_batches(JITTER, RECORDS), make_image_batches(JITTER, RECORDS)
    for step in (5, 0, 1_000_000, 5):
        assert_same(batches[step], others[step])
        assert_same(batches[step], batches[step])


def test_every_epoch_sees_every_pair_once_in_a_new_order():
    batches = make_image_batches(JITTER, RECORDS)
    seen = np.concatenate([record_numbers(batches[step]) for step in range(12)]).reshape(8, 6)
    assert (np.sort(seen) == np.arange(6)).all()
    assert len({tuple(epoch) for epoch in seen}) > 6


def test_a_pair_has_another_jitter_in_every_epoch():
    batches = make_image_batches(
        replace(JITTER, data=replace(JITTER.data, batch_size=1)), RECORDS[:1]
    )
    assert len({batches[epoch]["input"].tobytes() for epoch in range(30)}) > 9


def test_seeds_give_different_orders_and_jitters():
    batches, others = (make_image_batches(replace(JITTER, seed=seed), RECORDS) for seed in (0, 1))
    orders = [[record_numbers(some[step]) for step in range(3)] for some in (batches, others)]
    assert orders[0] != orders[1]
    one = replace(JITTER, data=replace(JITTER.data, batch_size=16))
    batches, others = (make_image_batches(replace(one, seed=seed), RECORDS[:1]) for seed in (0, 1))
    assert (batches[0]["input"] != others[0]["input"]).any()


@pytest.mark.parametrize("processes", [2, 4])
def test_the_shares_of_all_processes_make_up_the_global_batch(processes):
    whole = make_image_batches(JITTER, RECORDS)
    shares = [make_image_batches(JITTER, RECORDS, index, processes) for index in range(processes)]
    for step in range(4):
        parts = [share[step] for share in shares]
        assert all(len(part["index"]) == 4 // processes for part in parts)
        union = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.argsort(union["index"])
        assert_same({name: value[order] for name, value in union.items()}, whole[step])
        assert whole[step]["index"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_a_and_b_have_the_same_jitter(direction):
    data = replace(JITTER.data, direction=direction, batch_size=64)
    image = noise(12, 12)
    batch = make_image_batches(Config(data=data), [record("twins", image, image)])[0]
    np.testing.assert_array_equal(batch["input"], batch["target"])
    assert len({image.tobytes() for image in batch["input"]}) > 9  # There are 18 crops.


def test_jitter_is_an_exact_crop_that_is_mirrored_half_of_the_time():
    file = coordinates(12, 10)
    data = Data(image_size=(8, 8), load_size=(12, 10), batch_size=2_000)
    images = make_image_batches(Config(data=data), [record("coordinates", file, file)])[0]["input"]
    mirrored = images[:, 0, 0, 1] > images[:, 0, -1, 1]
    assert 930 < mirrored.sum() < 1_070  # 1,000, give or take three standard deviations
    images[mirrored] = images[mirrored][:, :, ::-1]
    crops = [tuple(image[0, 0, :2].tolist()) for image in images]
    assert set(crops) == {(top, left) for top in range(5) for left in range(3)}
    for image, (top, left) in zip(images, crops, strict=True):
        np.testing.assert_array_equal(image, file[top : top + 8, left : left + 8])


def test_a_larger_file_is_resized_before_it_is_cropped():
    data = replace(JITTER.data, batch_size=100, flip=False)
    image = Image.fromarray(noise(40, 30))
    images = make_image_batches(Config(data=data), [record("big", image, image)])[0]["input"]
    small = np.asarray(image.resize((10, 10), Image.Resampling.BICUBIC))
    crops = {small[y : y + 8, x : x + 8].tobytes() for y in range(3) for x in range(3)}
    assert {image.tobytes() for image in images} == crops


def test_nothing_is_random_without_jitter_and_flip():
    file = noise(8, 16)
    data = replace(PLAIN, batch_size=50)
    batch = make_image_batches(Config(data=data), [record("still", file)])[0]
    assert (batch["input"] == file[:, :8]).all()
    assert (batch["target"] == file[:, 8:]).all()


def test_the_direction_swaps_input_and_target():
    forward = make_image_batches(JITTER, RECORDS)[0]
    data = replace(JITTER.data, direction="BtoA")
    back = make_image_batches(replace(JITTER, data=data), RECORDS)[0]
    assert_same(forward, back | {"input": back["target"], "target": back["input"]})
    assert (forward["input"] != forward["target"]).any()


def test_an_example_for_evaluation_is_the_whole_pair():
    file = noise(8, 16)
    example = evaluation_example(record("pair", file), replace(JITTER.data, flip=True))
    np.testing.assert_array_equal(float_to_uint8(example["input"]), file[:, :8])
    np.testing.assert_array_equal(float_to_uint8(example["target"]), file[:, 8:])
    assert evaluation_example(record("pair", noise(30, 50)), PLAIN)["input"].shape == (8, 8, 3)


def test_images_have_the_channels_of_the_config():
    colours, alpha = noise(8, 8, 4), noise(8, 8)
    data = replace(PLAIN, input_channels=1, target_channels=4)
    example = evaluation_example(record("pair", colours, alpha), data)
    white = Image.new("RGBA", (8, 8), "white")
    grey = np.asarray(Image.alpha_composite(white, Image.fromarray(colours)).convert("L"))
    np.testing.assert_array_equal(float_to_uint8(example["input"])[..., 0], grey)
    np.testing.assert_array_equal(float_to_uint8(example["target"])[..., :3], alpha)
    assert (example["target"][..., 3] == 1).all()
    opaque = evaluation_example(record("pair", colours, alpha), replace(PLAIN, input_channels=4))
    np.testing.assert_array_equal(float_to_uint8(opaque["input"]), colours)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_file_gives_the_channels_of_the_config(mode, channels):
    image = Image.fromarray(noise(8, 8)[..., 0]).convert(mode)
    data = replace(PLAIN, input_channels=channels)
    assert evaluation_example(record(mode, image, image), data)["input"].shape == (8, 8, channels)


def test_a_palette_with_transparency_is_read_without_a_warning():
    image = Image.fromarray(noise(8, 8)).convert("P")
    image.info["transparency"] = bytes(range(200))
    white = Image.new("RGBA", (8, 8), "white")
    expected = np.asarray(Image.alpha_composite(white, image.convert("RGBA")))[..., :3]
    example = evaluation_example(record("palette", image, image), PLAIN)
    np.testing.assert_array_equal(float_to_uint8(example["input"]), expected)


def test_pixels_are_uint8_and_then_float32_from_minus_one_to_one():
    extremes = np.uint8(255) * (noise(4, 8) > 127)  # Bicubic enlargement overshoots.
    batch = make_image_batches(JITTER, [record("extremes", extremes)])[0]
    images = scale_batch(batch)
    for name in ("input", "target"):
        assert batch[name].dtype == np.uint8
        assert images[name].dtype == np.float32
        assert (images[name].min(), images[name].max()) == (-1, 1)
    assert batch["index"].dtype == images["index"].dtype == np.int32


@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_device_and_host_crop_to_equal_bits(size):
    data = Data(image_size=size, load_size=(10, 12), batch_size=4, target_channels=1)
    records = [record(f"{i}", noise(12, 15) + np.uint8(i), noise(20, 9)) for i in range(6)]
    config, pairs = Config(data=data), load_resident_pairs(records, data)
    crops, images = (
        make_crop_batches(config, range(len(records))),
        make_image_batches(config, records),
    )
    crop_on_device = jax.jit(lambda pairs, batch: crop_batch(pairs, batch, data))
    for step in range(10):
        found = jax.device_get(crop_on_device(pairs, crops[step]))
        assert_same(found, images[step])


def test_pairs_stay_on_the_host_if_they_exceed_resident_mib():
    data = replace(JITTER.data, image_size=(512, 512), load_size=(600, 600), resident_mib=2)
    records = [record("one", noise(4, 8))]
    assert load_resident_pairs(records, data) == {}
    assert load_resident_pairs(records, replace(data, resident_mib=3))["input"].shape == (
        1,
        600,
        600,
        3,
    )


def test_images_need_not_be_square():
    data = Data(image_size=(8, 16), load_size=(9, 20), batch_size=3)
    batch = make_image_batches(Config(data=data), [record("wide", noise(20, 30), noise(40, 7))])[0]
    assert batch["input"].shape == batch["target"].shape == (3, 8, 16, 3)


def test_prefetching_can_start_at_any_step():
    batches = make_image_batches(JITTER, RECORDS)
    for first in (0, 7):
        for step, batch in enumerate(islice(prefetch(batches, first), 5), first):
            assert_same(batch, batches[step])


def test_without_shuffle_every_epoch_has_the_pairs_in_the_order_of_their_names():
    names = ["c", "a", "e", "b", "d"]
    records = [record(name, noise(12, 15)) for name in names]
    data = replace(JITTER.data, shuffle=False, batch_size=2)
    config = replace(JITTER, data=data)
    seen = [name for step in range(5) for name in batch_names(config, records, step)]
    assert seen == ["a", "b", "c", "d", "e"] * 2
    crops = make_crop_batches(config, pair_order(data, records))
    assert [names[i] for step in range(5) for i in crops[step]["pair"]] == seen
    jitter = [(batch["top"][0], batch["left"][0], batch["mirror"][0]) for batch in crops[:50:5]]
    assert len(set(jitter)) > 1  # The first image of each epoch has its own crop.
    shuffled = [batch_names(JITTER, records, step) for step in range(20)]
    assert shuffled[:5] != shuffled[5:10]


@pytest.mark.parametrize("batch_size", [4, 8])
def test_without_shuffle_all_processes_together_have_the_order_of_the_names(batch_size):
    """Also in a batch that is larger than the set."""
    names = ["c", "a", "e", "b", "d"]
    records = [record(name, noise(12, 15)) for name in names]
    config = replace(JITTER, data=replace(JITTER.data, shuffle=False, batch_size=batch_size))
    order = pair_order(config.data, records)
    processes = [make_crop_batches(config, order, process, 2) for process in range(2)]
    batches = [batch for step in range(5) for batch in (processes[0][step], processes[1][step])]
    seen = [names[pair] for batch in batches for pair in batch["pair"]]
    assert seen == (["a", "b", "c", "d", "e"] * 8)[: 5 * batch_size]
    whole = make_crop_batches(config, order)
    for name in ("top", "left", "mirror", "index"):
        expected = np.concatenate([whole[step][name] for step in range(5)])
        np.testing.assert_array_equal(np.concatenate([b[name] for b in batches]), expected)
