"""The three-block CIFAR-10 network in Keras on TensorFlow; run by pipeline.py in the environment of peers.sh.

Arguments: an `.npz` of uint8 `images` and `labels`, the batch, the uncounted first steps. For each line on standard
input it trains once over the images and prints the images/s.
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow
from keras import layers


class Stopwatch(keras.callbacks.Callback):
    """Times the steps after the first few."""

    def __init__(self, warm_up: int) -> None:
        super().__init__()
        self.warm_up, self.began, self.ended, self.steps = warm_up, 0.0, 0.0, 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Note the time and the number of counted steps."""
        self.ended, self.steps = time.perf_counter(), batch + 1 - self.warm_up
        if self.steps == 0:
            self.began = self.ended


def network() -> keras.Model:
    """Return the network of lecture 000, example 2b."""
    body = []
    for c in (32, 64, 128):
        for _ in range(2):
            body.append(layers.Conv2D(c, 3, padding="same", activation="relu", kernel_initializer="he_uniform"))
        body.append(layers.MaxPooling2D())
    head = [layers.Flatten(), layers.Dense(128, activation="relu", kernel_initializer="he_uniform"), layers.Dense(10)]
    return keras.Sequential([keras.Input((32, 32, 3)), *body, *head])


def main() -> None:
    data, batch, warm_up = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    images, labels = data["images"].astype(np.float32) / 255, data["labels"]
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, metrics=["accuracy"])
    print(
        f"{keras.__version__} on TensorFlow {tensorflow.__version__}, {model.count_params():,} parameters", flush=True
    )
    for _ in sys.stdin:
        watch = Stopwatch(warm_up)
        model.fit(images, labels, batch_size=batch, epochs=1, verbose=0, callbacks=[watch])
        print(watch.steps * batch / (watch.ended - watch.began), flush=True)


if __name__ == "__main__":
    main()
