"""What steps get in tests: random data of a small shape, and training on it by plain gradient descent."""

import torch
from torch.nn import functional as F

from fovea.compression.step import Work


def small_work(shape=(3, 12, 12), *, classes=4, count=32, epochs_run=None, teacher=None):
    """Return a `Work` on `count` random inputs; its training takes one step of Adam per epoch on all of them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, *shape, generator=generator)
    labels = torch.randint(classes, (count,), generator=generator)

    def refit(model, *, epochs, lr=None, teacher=None, after_step=None):
        if epochs_run is not None:
            epochs_run.append(epochs)
        dtype = next(model.parameters()).dtype
        optimiser = torch.optim.Adam(model.parameters(), lr=lr or 1e-3)
        model.train()
        for _ in range(int(-(-epochs // 1))):
            outputs = model(x.to(dtype))
            loss = F.cross_entropy(outputs, labels)
            if teacher is not None:
                loss = F.mse_loss(outputs, teacher(x.to(dtype)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if after_step is not None:
                after_step(model)
        model.eval()

    def batches(count):
        yield x[:count], labels[:count]

    return Work(input_shape=shape, refit=refit, batches=batches, score=lambda model: 0.0, teacher=teacher)
