"""Where the slides are wrong: what they print, what is right, and the command that shows it.

Decks go by the first three digits of their file names. A command is typed as it stands; those that name `docs/` want
the project's folder. Of what no command computes, it names the paper.
"""

from dataclasses import asdict, dataclass
from typing import Any

GRID = (
    "import numpy as np; from fovea.reference.convolution import correlate as c; "
    "from fovea.reference.filters import written; g = lambda text: written(text, axes=2)"
)
STROKES = "1 0 0 0 0 1; 0 1 0 0 1 0; 0 0 1 1 0 0; 1 0 0 0 1 0; 0 1 0 0 1 0; 0 0 1 0 1 0"
PADDED = "3 3 4 4 7 0; 9 7 6 5 8 2; 6 5 5 6 9 2; 7 1 3 2 7 8; 0 3 7 1 8 3; 4 0 4 3 2 2"


@dataclass(frozen=True, kw_only=True)
class Erratum:
    """One slide that is wrong."""

    deck: str
    where: str
    """What the slide is about."""
    printed: str
    right: str
    command: str
    """What shows the right one, typed in a shell."""
    shows: str
    """What is to be found in the output of the command."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def _python(code: str) -> str:
    return f'python -c "{code}"'


def _correlated(image: str, kernel: str, *, options: str = "", rows: str = "") -> str:
    return _python(
        f"{GRID}; print(c(g('{image}')[None, None], g('{kernel}')[None, None]{options})[0, 0]{rows}.tolist())"
    )


def _measured(name: str, *options: str) -> str:
    return " ".join(("fovea measure", name, *options))


ERRATA = (
    Erratum(
        deck="000",
        where="LeNet-5",
        printed="the shapes of a 28 x 28 input without padding (256 values into the first dense layer)",
        right="the count of 61,706 parameters is that of 400 values, of a 32 x 32 input",
        command=_measured("lenet5"),
        shows="61,706",
    ),
    Erratum(
        deck="000",
        where="LeNet-5",
        printed="max pooling in the text, average pooling in the table",
        right="the paper averages, then scales and shifts each map: its pooling layers have parameters",
        command=_measured("lenet5_1998"),
        shows="60,",
    ),
    Erratum(
        deck="000",
        where="VGG-16",
        printed="138,423,208 parameters",
        right="138,357,544: a row of pooling is counted with 65,664",
        command=_measured("vgg16"),
        shows="138,357,544",
    ),
    Erratum(
        deck="000",
        where="an example of padding",
        printed="-10, -13, 1 in the first row, -9, 3, 0 in the second",
        right="-10, 2, 1, -5, 7, 15, and the second begins with -15, 3, 0",
        command=_correlated(PADDED, "1 0 -1; 1 0 -1; 1 0 -1", options=", padding=1", rows="[:2]"),
        shows="[[-10.0, 2.0, 1.0, -5.0, 7.0, 15.0], [-15.0, 3.0, 0.0,",
    ),
    Erratum(
        deck="000",
        where="VGG",
        printed="three 3 x 3 filters need only 29 parameters, a 7 x 7 filter 49",
        right="27: with 64 channels 110,592 against 200,704",
        command=_measured("--compare", "docs/patterns.py:three_3x3", "docs/patterns.py:one_7x7", "--input", "64x32x32"),
        shows="110,592",
    ),
    Erratum(
        deck="000",
        where="VGG against AlexNet",
        printed="AlexNet's first filters are 7 x 7",
        right="11 x 11, as what a unit of its first layer sees",
        command=_measured("alexnet", "--unit", "stage1.conv:27,27", "--out", "alexnet-unit.png"),
        shows="(11 x 11)",
    ),
    Erratum(
        deck="000",
        where="`pure_batch_norm`",
        printed="eps outside the square root for maps",
        right="under the root, as for dense layers",
        command=_python(
            "import numpy as np; from fovea.reference.normalisation import batch_norm as b; "
            "x = np.array([0.0, 2e-3])[:, None, None, None]; print(b(x, np.ones(1), np.zeros(1)).ravel().round(4))"
        ),
        shows="[-0.3015  0.3015]",
    ),
    Erratum(
        deck="000",
        where="GoogLeNet, table 1",
        printed="2.7K parameters and 34M operations in the first convolution",
        right="9,408 weights and 64 biases, 118 M multiply-adds",
        command=_measured("googlenet", "--depth", "2"),
        shows="9,472",
    ),
    Erratum(
        deck="000",
        where="GoogLeNet, table 1",
        printed="364K parameters in 4a, 463K in 4c, 580K in 4d, 840K in 4e, 1072K in 5a, 1388K in 5b",
        right="367K, 498K, 591K, 847K, 1018K and 1409K weights of 1024 (5a has 1,043,456 with its biases)",
        command=_measured("googlenet", "--depth", "2"),
        shows="1,043,456",
    ),
    Erratum(
        deck="000, 001, 002, 004",
        where="GoogLeNet",
        printed="6.7, 5, 4 and 4 million parameters",
        right="6,998,552",
        command=_measured("googlenet", "--depth", "1"),
        shows="6,998,552",
    ),
    Erratum(
        deck="000",
        where="ResNet",
        printed="learning rate drops counted in epochs",
        right="in iterations: 32,000 and 48,000 of 64,000 on CIFAR-10",
        command="fovea models cifar_resnet20 --json",
        shows="1512.03385",
    ),
    Erratum(
        deck="000",
        where="code of a residual module",
        printed="a ReLU on the projection shortcut",
        right="the shortcut is a convolution and a batch norm; the ReLU comes after the sum",
        command=_measured("resnet18", "--depth", "3"),
        shows="shortcut",
    ),
    Erratum(
        deck="001",
        where="Inception with bottlenecks",
        printed="358M operations",
        right="271,351,808: the sum of the six products on the slide",
        command=_measured("--compare", "docs/patterns.py:naive_inception", "docs/patterns.py:reduced_inception")
        + " --input 256x28x28",
        shows="271,351,808",
    ),
    Erratum(
        deck="001, 004",
        where="GoogLeNet",
        printed="uses batch normalisation",
        right="that came with the next paper, in `bn_inception`",
        command=_python(
            "import fovea.zoo; from fovea import registry; print('BatchNorm' in str(registry.build('googlenet')))"
        ),
        shows="False",
    ),
    Erratum(
        deck="001",
        where="GoogLeNet",
        printed="no fully connected layers",
        right="it has one, of 1,025,000 parameters",
        command=_measured("googlenet", "--depth", "1"),
        shows="1,025,000",
    ),
    Erratum(
        deck="001",
        where="SENet",
        printed="Shao et al.",
        right="Hu et al., 2017",
        command="fovea models senet154",
        shows="Hu et al.",
    ),
    Erratum(
        deck="001",
        where="memory of VGG-16",
        printed="24M values, 96 MB for an image",
        right="the rows on the slide sum to 15,237,608 values, 61 MB",
        command=_python(
            "import fovea; t = fovea.measure('vgg16'); print(sum(r.activation_bytes for r in t.layers if r.type in "
            "('Input', 'Conv2d', 'MaxPool2d', 'Linear')) // 4)"
        ),
        shows="15237608",
    ),
    Erratum(
        deck="001",
        where="AlexNet",
        printed="pooling before normalisation",
        right="the paper normalises first",
        command=_measured("alexnet"),
        shows="stage1.norm",
    ),
    Erratum(
        deck="002",
        where="top-5 errors",
        printed="VGG 10 %, ResNet about 7 %",
        right="7.3 and 3.6 %, as 000 and 001 have them",
        command="fovea models resnet152 --json",
        shows="1512.03385",
    ),
    Erratum(
        deck="002",
        where="back-propagation through a convolution",
        printed="the sum over (i', j') multiplies x[i', j']",
        right="it multiplies the gradient of the output at (i', j')",
        command=_python(
            f"{GRID}; from fovea.reference.convolution import correlate_gradients as d; "
            "x, k = g('1 2; 3 4'), g('1 0; 0 1'); "
            "print(d(np.ones((1, 1, 1, 1)), x[None, None], k[None, None]).kernel[0, 0].tolist())"
        ),
        shows="[[1.0, 2.0], [3.0, 4.0]]",
    ),
    Erratum(
        deck="002",
        where="correlation",
        printed="the sum of x[m] h[i + m]",
        right="the flip of the next slide's sum of h[m] x[i + m], which is the one that is used",
        command=_correlated("1 2 3 4", "1 10"),
        shows="[[21.0, 32.0, 43.0]]",
    ),
    Erratum(
        deck="002",
        where="what a unit sees",
        printed="unit (1, 1) of layer 2 sees (0, 6.0)",
        right="rows and columns 0 to 5: the interval is half-open; not cut at the edge, -1 to 5",
        command=_measured("resnet18", "--input 3x256x256 --unit stem.bn:1,1 --out resnet18-unit.png"),
        shows="rows 0 to 5, columns 0 to 5",
    ),
    Erratum(
        deck="003",
        where="same padding",
        printed="floor((k - 1) / 2) zeros on both sides preserve the size",
        right="for odd k only; an even k needs one more on one side",
        command=_python("print([m + 2 * ((k - 1) // 2) - k + 1 for m in (5,) for k in (3, 4, 5)])"),
        shows="[5, 4, 5]",
    ),
    Erratum(
        deck="003",
        where="pooling",
        printed="has no hyperparameters",
        right="it has no parameters; its window, stride and kind are hyperparameters, as its own table says",
        command=_python("from torch.nn import MaxPool2d as P; p = P(3, 2); print(len(list(p.parameters())), p)"),
        shows="0 MaxPool2d(kernel_size=3, stride=2",
    ),
    Erratum(
        deck="004",
        where="the first example of a filter",
        printed="3, -2, -2, 1 in the last row",
        right="3, -2, -2, -1",
        command=_correlated(STROKES, "1 -1 -1; -1 1 -1; -1 -1 1", rows="[-1]"),
        shows="[3.0, -2.0, -2.0, -1.0]",
    ),
    Erratum(
        deck="004",
        where="the second example of a filter",
        printed="4 in the last row",
        right="-4",
        command=_correlated(STROKES, "-1 1 -1; -1 1 -1; -1 1 -1", rows="[-1]"),
        shows="[-1.0, 0.0, -4.0, 3.0]",
    ),
    Erratum(
        deck="004",
        where="the edge kernel [1, -1]",
        printed="six rows in, seven rows out",
        right="six rows out",
        command=_python(
            f"{GRID}; print(c(g('1 1 0 0 0 0 1 1; ' * 5 + '1 1 0 0 0 0 1 1')[None, None], g('1 -1')[None, None]).shape)"
        ),
        shows="(1, 1, 6, 7)",
    ),
    Erratum(
        deck="004",
        where="ResNet",
        printed="153 layers",
        right="152",
        command="fovea models resnet152",
        shows="resnet152",
    ),
)
"""All of them, by deck."""
