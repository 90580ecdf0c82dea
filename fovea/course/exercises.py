"""Exercises for the lectures: a question, its answer, and a command that shows the figure of the answer."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A question of a topic."""

    topic: str
    question: str
    answer: str
    command: str
    """What shows it, typed in a shell."""
    shows: str
    """What is to be found in the output of the command, and in the answer."""


GRID = (
    "from fovea.reference.convolution import correlate as c; from fovea.reference.filters import written; "
    "g = lambda text: written(text, axes=2)[None, None]"
)


def _python(code: str) -> str:
    return f'python -c "{code}"'


EXERCISES = (
    Exercise(
        topic="cost-of-dense-layers",
        question="A grey image of 16 x 16 pixels, 100 hidden units, 26 classes: how many parameters?",
        answer="256 x 100 + 100 + 100 x 26 + 26 = 28326.",
        command=_python(
            "from torch.nn import Linear as L; print(sum(p.numel() for l in (L(256, 100), L(100, 26)) "
            "for p in l.parameters()))"
        ),
        shows="28326",
    ),
    Exercise(
        topic="one-output",
        question="The patch 4 0 4; 2 3 4; 5 0 3 under the kernel 1 0 1; 1 0 0; 0 0 2: what comes out?",
        answer="4 + 4 + 2 + 2 x 3 = 16.",
        command=_python(f"{GRID}; print(c(g('4 0 4; 2 3 4; 5 0 3'), g('1 0 1; 1 0 0; 0 0 2')))"),
        shows="16",
    ),
    Exercise(
        topic="sliding-kernel",
        question="What is the middle cell of the output in the example of deck 002?",
        answer="3 x 1 + ... = 17: the windows' sums are 12 12 17; 10 17 19; 9 6 14.",
        command=_python(
            f"{GRID}; print(c(g('3 3 2 1 0; 0 0 1 3 1; 3 1 2 2 3; 2 0 0 2 2; 2 0 0 0 1'), "
            "g('0 1 2; 2 2 0; 0 1 2'))[0, 0, 1, 1])"
        ),
        shows="17",
    ),
    Exercise(
        topic="output-size",
        question="An image of 227 x 227 under filters of 11 x 11 at stride 4: how large are the maps?",
        answer="(227 - 11) / 4 + 1 = 55.",
        command=_python("from fovea.shapes import convolved; print(convolved(227, 11, stride=4))"),
        shows="55",
    ),
    Exercise(
        topic="padding",
        question="How many zeros on each side keep the size under a 7 x 7 kernel at stride 1?",
        answer="(7 - 1) / 2 = 3.",
        command=_python("from fovea.reference.padding import amounts; print(amounts('same', (7,), (1,)))"),
        shows="3",
    ),
    Exercise(
        topic="dilation",
        question="7 x 7 cells under 3 x 3 with dilation 2: how large is the output?",
        answer="The kernel covers 5 cells, so 7 - 5 + 1 = 3.",
        command=_python("from fovea.shapes import convolved; print(convolved(7, 3, dilation=2))"),
        shows="3",
    ),
    Exercise(
        topic="parameter-counts",
        question="Ten 5 x 5 filters on a colour image: how many parameters?",
        answer="(5 x 5 x 3 + 1) x 10 = 760.",
        command=_python("from torch.nn import Conv2d as C; print(sum(p.numel() for p in C(3, 10, 5).parameters()))"),
        shows="760",
    ),
    Exercise(
        topic="shared-weights",
        question="A convolution of 3 x 3 from 16 to 32 channels has 4640 parameters. Why so few?",
        answer="3 x 3 x 16 x 32 weights and 32 biases are 4640; a dense layer between maps of 64 x 64 has 8.6 billion.",
        command=_python("from torch.nn import Conv2d as C; print(sum(p.numel() for p in C(16, 32, 3).parameters()))"),
        shows="4640",
    ),
    Exercise(
        topic="groups",
        question="The same by a depthwise and a 1 x 1 convolution, biases in the second only: how many parameters?",
        answer="16 x 9 + 16 x 32 + 32 = 688.",
        command=_python(
            "from torch.nn import Conv2d as C; print(sum(p.numel() for l in (C(16, 16, 3, groups=16, bias=False), "
            "C(16, 32, 1)) for p in l.parameters()))"
        ),
        shows="688",
    ),
    Exercise(
        topic="as-a-matrix",
        question="What shape has the matrix of a 2 x 2 kernel on a 3 x 3 image?",
        answer="Four outputs and nine inputs: (4, 9).",
        command=_python(
            "import numpy as np; from fovea.reference.matrix import convolution_matrix as m; "
            "print(m(np.ones((1, 1, 2, 2)), (1, 3, 3)).shape)"
        ),
        shows="(4, 9)",
    ),
    Exercise(
        topic="receptive-field",
        question="Three 3 x 3 layers at stride 1: how far does a unit see?",
        answer="1 + 3 x (3 - 1) = 7, so 7 x 7.",
        command=_python(
            "from fovea.report.lessons.kinds import drawn; print(drawn('stack', dict(layers='3', kernel='3', "
            "dilation='1', stride='1', causal='no')).words)"
        ),
        shows="7",
    ),
    Exercise(
        topic="one-two-three-axes",
        question="Four causal layers of kernel 2 with dilations 1, 2, 4, 8: how many samples does a unit depend on?",
        answer="1 + 1 + 2 + 4 + 8 = 16.",
        command=_python(
            "from fovea.report.lessons.kinds import drawn; print(drawn('stack', dict(layers='4', kernel='2', "
            "dilation='doubling', stride='1', causal='yes')).words)"
        ),
        shows="16",
    ),
    Exercise(
        topic="max-pooling",
        question="Max pooling of 2 x 2 at stride 2 over the numbers 0 to 99 in ten rows: what are the first and last?",
        answer="11 in the first window, 99 in the last; the first row is 11. 13. 15. 17. 19.",
        command=_python(
            "import numpy as np; from fovea.reference.pooling import max_pool as p; "
            "print(p(np.arange(100.0).reshape(1, 1, 10, 10), 2, stride=2)[0, 0])"
        ),
        shows="11. 13. 15. 17. 19.",
    ),
    Exercise(
        topic="batch-norm",
        question="With gamma = sigma and beta = mu, what does batch normalisation do?",
        answer="Nothing, up to the epsilon under its root: 2, 4 and 9 come back as [2. 4. 9.].",
        command=_python(
            "import numpy as np; from fovea.reference.normalisation import batch_norm as b; "
            "x = np.array([2.0, 4.0, 9.0])[:, None]; print(b(x, x.std(0), x.mean(0), eps=0.0).ravel().round(6))"
        ),
        shows="[2. 4. 9.]",
    ),
    Exercise(
        topic="vanishing-gradients",
        question="Twelve sigmoid layers: what is the most that their slopes leave of a gradient?",
        answer="0.25 to the twelfth, 6e-08.",
        command=_python("print(f'{0.25**12:.0e}')"),
        shows="6e-08",
    ),
    Exercise(
        topic="backward-convolution",
        question="Ones come back to all outputs of the kernel 1 2; 3 4 on 3 x 3 cells: what gets the middle cell?",
        answer="It was read with every weight once: 1 + 2 + 3 + 4 = 10.",
        command=_python(
            f"import numpy as np; {GRID}; from fovea.reference.convolution import correlate_gradients as d; "
            "print(d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), g('1 2; 3 4'))[0][0, 0, 1, 1])"
        ),
        shows="10",
    ),
    Exercise(
        topic="lenet",
        question="How many parameters has LeNet-5 with 400 inputs to its first dense layer?",
        answer="156 + 2,416 + 48,120 + 10,164 + 850 = 61,706.",
        command="fovea measure lenet5",
        shows="61,706",
    ),
    Exercise(
        topic="alexnet",
        question="How many parameters has AlexNet without groups?",
        answer="62,378,344.",
        command="fovea measure alexnet_ungrouped",
        shows="62,378,344",
    ),
    Exercise(
        topic="vgg",
        question="Which layer of VGG-16 has most parameters, and how many weights?",
        answer="The first dense layer: 7 x 7 x 512 x 4096 = 102,760,448 weights and 4,096 biases, 102,764,544.",
        command="fovea measure vgg16",
        shows="102,764,544",
    ),
    Exercise(
        topic="inception",
        question="How many of the 854,196,224 multiply-adds of deck 001's naive module do bottlenecks of 64 leave?",
        answer="The six products sum to 271,351,808.",
        command="fovea measure --compare docs/patterns.py:naive_inception docs/patterns.py:reduced_inception "
        "--input 256x28x28",
        shows="271,351,808",
    ),
    Exercise(
        topic="residuals",
        question="How many parameters more than a plain network of 20 layers has the residual one on CIFAR-10?",
        answer="None: both have 269,722, as the shortcuts of this network only copy.",
        command="fovea measure cifar_plain20",
        shows="269,722",
    ),
    Exercise(
        topic="fashion-example",
        question="How many parameters of the Fashion-MNIST network of deck 002 are trained?",
        answer="1,677,674; its table adds 1,408 running statistics.",
        command="fovea measure fashion_cnn",
        shows="1,677,674",
    ),
)
"""In the order of the course."""
