"""How far a student's outputs are from a teacher's, as probabilities at a temperature.

Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2: outputs are divided by the temperature T, and the loss is
multiplied by T^2, so that its gradient keeps its size. Outputs are (N, K) float32. Imported late: it needs PyTorch.
"""

from torch import Tensor
from torch.nn import functional as F


def of_classes(outputs: Tensor, wanted: Tensor, *, temperature: float) -> Tensor:
    """Return T^2 times the Kullback-Leibler divergence of the teacher's distribution over K classes, mean over N."""
    student = F.log_softmax(outputs / temperature, dim=1)
    teacher = F.log_softmax(wanted / temperature, dim=1)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def of_sigmoids(outputs: Tensor, wanted: Tensor, *, temperature: float) -> Tensor:
    """Return T^2 times the divergence of the teacher's yes and no, each output by itself, mean over N and K."""
    student, teacher = outputs / temperature, wanted / temperature
    crossed = F.binary_cross_entropy_with_logits(student, teacher.sigmoid())
    own = F.binary_cross_entropy_with_logits(teacher, teacher.sigmoid())
    return temperature**2 * (crossed - own)
