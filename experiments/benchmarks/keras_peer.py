"""The training loop of the Keras pix2pix tutorial, written from its description.

Every step predicts images, and trains the discriminator on real and on generated patches. Then the
step trains a model that consists of the generator and the frozen discriminator.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pix2pix_jax.benchmark.worker import Arrays, Trial, resident_memory
from pix2pix_jax.config import Config
from pix2pix_jax.models.topology import DISCRIMINATORS


def normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.02)


def unet(config: Config) -> keras.Model:
    """The generator (section 6.1.1)."""
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
    """The discriminator (section 6.1.2)."""
    model, data = config.model, config.data
    image = keras.Input((*data.image_size, data.input_channels))
    output = keras.Input((*data.image_size, data.target_channels))
    x = layers.Concatenate()([image, output])
    for n, (width, kernel, stride, padding) in enumerate(DISCRIMINATORS[model.discriminator], 1):
        has_norm = n > 1 and width > 0
        x = layers.ZeroPadding2D((padding, padding))(x)
        x = layers.Conv2D(
            width * model.discriminator_features or 1,
            kernel,
            strides=stride,
            use_bias=not has_norm,
            kernel_initializer=normal(),
        )(x)
        if has_norm:
            x = layers.BatchNormalization(epsilon=model.norm_epsilon)(x)
        x = layers.LeakyReLU(model.leaky_slope)(x) if width else layers.Activation("sigmoid")(x)
    return keras.Model([image, output], x)


def make_trial(config: Config) -> Trial:
    """Makes a trial of the tutorial's step: `predict` and three calls of `train_on_batch`."""
    training = Training(config)
    gpus = tf.config.list_physical_devices("GPU")
    memory = device_memory if gpus else resident_memory
    return Trial(training.run, 1, training.weights, memory, ["gpu" if gpus else "cpu"])


class Training:
    """Training of a resolved config on one batch of random images."""

    def __init__(self, config: Config):
        data, loss = config.data, config.loss
        if config.train.dtype == "bfloat16":
            keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
        self.generator, self.discriminator = unet(config), discriminator(config)
        self.discriminator.compile(
            loss="binary_crossentropy",
            optimizer=make_adam(config),
            loss_weights=[loss.discriminator_weight],
        )
        # These lists are made before the freezing, because frozen weights are not in the list.
        self.trained = self.generator.trainable_weights, self.discriminator.trainable_weights
        rng, shape = np.random.default_rng(0), (data.batch_size, *data.image_size, 3)
        self.image, self.target = (rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(2))
        grid = data.batch_size, *self.discriminator.output_shape[1:]
        self.real, self.fake = np.ones(grid, np.float32), np.zeros(grid, np.float32)
        # The first training step fixes which weights are trained, so it comes before the freezing.
        self.discriminator.train_on_batch([self.image, self.target], self.real)
        for layer in self.discriminator.layers:
            if not isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
        source = keras.Input((*data.image_size, data.input_channels))
        output = self.generator(source)
        self.gan = keras.Model(source, [self.discriminator([source, output]), output])
        self.gan.compile(
            loss=["binary_crossentropy", "mae"],
            optimizer=make_adam(config),
            loss_weights=[1, loss.l1_weight],
        )

    def run(self, steps: int) -> None:
        """Trains for a number of steps, one by one."""
        for _ in range(steps):
            fake = self.generator.predict(self.image, verbose=0)
            self.discriminator.train_on_batch([self.image, self.target], self.real)
            self.discriminator.train_on_batch([self.image, fake], self.fake)
            self.gan.train_on_batch(self.image, [self.real, self.target])

    def weights(self) -> tuple[Arrays, Arrays]:
        """The parameters of the generator and of the discriminator."""
        return self.trained


def make_adam(config: Config) -> keras.optimizers.Optimizer:
    options = config.optimizer
    return keras.optimizers.Adam(options.learning_rate, options.b1, options.b2)


def device_memory() -> int:
    """The peak memory of the first GPU in bytes."""
    return tf.config.experimental.get_memory_info("GPU:0")["peak"]
