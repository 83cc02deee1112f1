"""The training loop of the Keras pix2pix tutorial, written from its description.

Every step predicts an image, and trains the discriminator on real and on generated patches. It
then trains a composite of the generator and a frozen discriminator. The networks are those of the
config.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pix2pix_jax.benchmark.worker import Trial, resident_memory
from pix2pix_jax.config import Config
from pix2pix_jax.models.topology import DISCRIMINATORS


def normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.02)


def unet(config: Config) -> keras.Model:
    """Section 6.1.1."""
    model, data = config.model, config.data
    widths = [model.features * min(2**n, 8) for n in range(model.depth)]
    image = x = keras.Input((*data.image_size, data.input_channels))
    skips = []
    options = {"strides": 2, "padding": "same", "use_bias": False}
    for n, width in enumerate(widths, 1):
        x = x if n == 1 else layers.LeakyReLU(model.leaky_slope)(x)
        x = layers.Conv2D(width, 4, kernel_initializer=normal(), **options)(x)
        if 1 < n < model.depth:
            x = layers.BatchNormalization(epsilon=model.norm_epsilon)(x, training=True)
        skips.append(layers.ReLU()(x))
    x = skips.pop()
    for n, width in enumerate(reversed(widths[:-1]), 1):
        x = layers.Conv2DTranspose(width, 4, kernel_initializer=normal(), **options)(x)
        x = layers.BatchNormalization(epsilon=model.norm_epsilon)(x, training=True)
        if n <= 3:
            x = layers.Dropout(model.dropout)(x, training=True)
        x = layers.Concatenate()([skips.pop(), layers.ReLU()(x)])
    last = {"strides": 2, "padding": "same", "activation": "tanh"}
    x = layers.Conv2DTranspose(data.target_channels, 4, kernel_initializer=normal(), **last)(x)
    return keras.Model(image, x)


def discriminator(config: Config) -> keras.Model:
    """Section 6.1.2."""
    model, data = config.model, config.data
    image = keras.Input((*data.image_size, data.input_channels))
    output = keras.Input((*data.image_size, data.target_channels))
    x = layers.Concatenate()([image, output])
    for n, (width, kernel, stride, padding) in enumerate(DISCRIMINATORS[model.discriminator], 1):
        normed = n > 1 and width > 0
        x = layers.ZeroPadding2D((padding, padding))(x)
        x = layers.Conv2D(
            width * model.discriminator_features or 1,
            kernel,
            strides=stride,
            use_bias=not normed,
            kernel_initializer=normal(),
        )(x)
        if normed:
            x = layers.BatchNormalization(epsilon=model.norm_epsilon)(x)
        x = layers.LeakyReLU(model.leaky_slope)(x) if width else layers.Activation("sigmoid")(x)
    return keras.Model([image, output], x)


def tutorial(config: Config) -> Trial:
    """`train_on_batch` for each of the three, and `predict` before."""
    options, data = config.optimizer, config.data
    if config.train.dtype == "bfloat16":
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")

    def adam() -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(options.learning_rate, options.b1, options.b2)

    g, d = unet(config), discriminator(config)
    weight = config.loss.discriminator_weight
    d.compile(loss="binary_crossentropy", optimizer=adam(), loss_weights=[weight])
    learnt = g.trainable_weights, d.trainable_weights
    rng, shape = np.random.default_rng(0), (data.batch_size, *data.image_size, 3)
    image, target = (rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(2))
    grid = d.output_shape[1:]
    real, fake = (np.full((data.batch_size, *grid), label, np.float32) for label in (1, 0))
    d.train_on_batch([image, target], real)  # so that it learns what it has not yet to keep
    for layer in d.layers:
        if not isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    source = keras.Input((*data.image_size, data.input_channels))
    output = g(source)
    gan = keras.Model(source, [d([source, output]), output])
    losses = [1, config.loss.l1_weight]
    gan.compile(loss=["binary_crossentropy", "mae"], optimizer=adam(), loss_weights=losses)

    def run(steps: int) -> None:
        for _ in range(steps):
            made = g.predict(image, verbose=0)
            d.train_on_batch([image, target], real)
            d.train_on_batch([image, made], fake)
            gan.train_on_batch(image, [real, target])

    gpus = tf.config.list_physical_devices("GPU")

    def peak_memory() -> int:
        return (
            tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else resident_memory()
        )

    return Trial(run, 1, lambda: learnt, peak_memory, ["gpu" if gpus else "cpu"])
