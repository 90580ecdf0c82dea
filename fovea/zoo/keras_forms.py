"""The networks of Keras' `keras.applications`, and where each has other parameters than ours, which has its paper's.

Counted in Keras' published models: lecture 002 prints their totals ("Popular CNN architectures").
"""

from typing import NamedTuple

ALL = r".*"


class Form(NamedTuple):
    """One network there; the patterns are regular expressions of whole paths in ours."""

    name: str
    biases: str = ""
    """Convolutions that have a bias there and none here, though a batch norm may follow."""
    unscaled: str = ""
    """Batch norms without a scale."""
    constants: int = 0
    """Numbers that normalise the input in a layer of its own: mean and variance per channel, and how many were seen."""


VERSION_2 = r"stem\.conv|.*\.(conv3|projection)"

FORMS = {
    "xception": Form("Xception"),
    "vgg16": Form("VGG16"),
    "vgg19": Form("VGG19"),
    "resnet50": Form("ResNet50", biases=ALL),
    "resnet101": Form("ResNet101", biases=ALL),
    "resnet152": Form("ResNet152", biases=ALL),
    "resnet50_v2": Form("ResNet50V2", biases=VERSION_2),
    "resnet101_v2": Form("ResNet101V2", biases=VERSION_2),
    "resnet152_v2": Form("ResNet152V2", biases=VERSION_2),
    "inception_v3": Form("InceptionV3", unscaled=ALL),
    "inception_resnet_v2": Form("InceptionResNetV2", unscaled=ALL),
    "mobilenet_v1": Form("MobileNet"),
    "mobilenet_v2": Form("MobileNetV2"),
    "densenet121": Form("DenseNet121"),
    "densenet169": Form("DenseNet169"),
    "densenet201": Form("DenseNet201"),
    "nasnet_mobile": Form("NASNetMobile"),
    "nasnet_large": Form("NASNetLarge"),
    **{f"efficientnet_b{i}": Form(f"EfficientNetB{i}", constants=7) for i in range(8)},
}


def own_name(name: str) -> str:
    """Return our name of a network, given it or Keras' own.

    >>> own_name("ResNet50"), own_name("lenet5")
    ('resnet50', 'lenet5')
    """
    return next((own for own, form in FORMS.items() if form.name == name), name)
