"""The contents of the course: the lectures, and in the order of each its slides and the topic that shows each idea."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fovea.course.topic import Topic
from fovea.course.topics import architectures, channels, convolution, layers, learning, motivation, seeing, smaller

PARTS: tuple[tuple[str, tuple[Topic, ...]], ...] = (
    ("Why convolutions", motivation.TOPICS),
    ("The operation", convolution.TOPICS),
    ("Channels, counts and fields", channels.TOPICS),
    ("The other layers", layers.TOPICS),
    ("Learning", learning.TOPICS),
    ("Looking inside", seeing.TOPICS),
    ("Architectures", architectures.TOPICS),
    ("Smaller networks", smaller.TOPICS),
)
"""All topics, by part of the field."""

TOPICS: Mapping[str, Topic] = MappingProxyType({topic.name: topic for _, topics in PARTS for topic in topics})
"""By name."""


@dataclass(frozen=True, kw_only=True)
class Lecture:
    """A deck, and where its ideas are."""

    deck: str
    """The first three digits of its file."""
    file: str
    title: str
    slides: tuple[tuple[str, tuple[str, ...]], ...]
    """(what a run of slides is about, names of topics), in the order of the deck."""


LECTURES = (
    Lecture(
        deck="000",
        file="000_3de142ee9752588d.txt",
        title="Convolutional neural networks: from the visual cortex to SE nets",
        slides=(
            (
                "Convolutional learning, the visual cortex, the neocognitron, LeNet",
                ("visual-cortex", "shared-weights", "shifts", "lenet"),
            ),
            ("The power of CNNs", ("uses", "style")),
            ("Data sets", ("data-sets",)),
            ("Structure: grids, three kinds of layers", ("images-as-numbers", "kinds-of-layers")),
            ("The convolutional layer, activations, stride 1", ("sliding-kernel", "output-channels", "output-size")),
            ("The formula and its example of 16", ("one-output", "input-channels")),
            ("The receptive field of a filter", ("receptive-field", "dilation")),
            ("Padding", ("padding",)),
            ("Strides, bias", ("stride", "parameter-counts")),
            ("Pooling", ("max-pooling", "average-pooling", "without-pooling")),
            ("Fully connected layers", ("flatten-and-dense", "softmax", "cost-of-dense-layers")),
            ("Batch normalisation", ("batch-norm",)),
            ("Putting it together, LeNet-5, parameter counts", ("patterns", "relu", "lenet", "parameter-counts")),
            (
                "Training: back-propagation, pooling, sparse matrices",
                ("backward-convolution", "backward-pooling", "as-a-matrix"),
            ),
            ("AlexNet, dropout, retrieval", ("alexnet", "dropout", "retrieval")),
            ("VGG", ("vgg",)),
            ("Inception", ("inception", "one-by-one")),
            ("ResNet", ("residuals", "vanishing-gradients", "learning-rate")),
            ("SE nets", ("squeeze-excitation", "global-pooling")),
            ("Effects of depth", ("depth-and-cost",)),
            ("CIFAR-10 in four networks", ("cifar-example", "augmentation")),
            ("Pre-trained models", ("pretrained",)),
            ("Limitations: Hinton, capsules, graphs", ("limits",)),
        ),
    ),
    Lecture(
        deck="001",
        file="001_e178a6afaef60c4d.txt",
        title="Image classification: CNN architectures",
        slides=(
            ("Convolutional networks, history, today", ("kinds-of-layers", "data-sets", "uses", "style")),
            ("Fully connected against convolution", ("cost-of-dense-layers", "shared-weights", "shifts")),
            (
                "The convolution layer, 32 x 32 x 3 under 5 x 5 x 3",
                ("sliding-kernel", "input-channels", "output-channels"),
            ),
            ("What filters learn", ("learnt-filters", "feature-maps", "correlation")),
            (
                "Spatial dimensions, padding, the example of 760 parameters",
                ("output-size", "stride", "padding", "parameter-counts"),
            ),
            ("Receptive fields", ("receptive-field",)),
            ("1 x 1 convolutions", ("one-by-one",)),
            ("Pooling", ("max-pooling", "average-pooling")),
            ("ConvNetJS", ("convnetjs", "optimisers")),
            ("Components; batch normalisation", ("relu", "batch-norm")),
            ("Layer, instance and group norm", ("other-norms",)),
            ("LeNet-5, two videos", ("lenet", "softmax")),
            ("AlexNet, ZFNet", ("alexnet", "zfnet", "augmentation", "dropout")),
            ("VGGNet", ("vgg", "ensembles", "pretrained")),
            ("GoogLeNet", ("inception", "global-pooling")),
            ("ResNet", ("residuals", "vanishing-gradients")),
            (
                "Comparing complexity, improving ResNets",
                ("depth-and-cost", "squeeze-excitation", "after-resnet", "groups"),
            ),
        ),
    ),
    Lecture(
        deck="002",
        file="002_cedc41c7c53ca8d7.txt",
        title="Convolutional neural networks: operations, visualisation, complexity, back-propagation",
        slides=(
            ("Motivation, applications", ("uses", "data-sets", "style")),
            ("1-D, 2-D, 3-D; the causal stack", ("one-two-three-axes",)),
            ("2-D convolution and correlation", ("correlation", "sliding-kernel")),
            ("Image filters", ("kernels-by-hand", "learnt-filters")),
            ("Padding and its layers", ("padding", "padding-modes")),
            ("Filtering with channels; the Conv2d layer", ("input-channels", "output-channels", "one-output")),
            ("4,640 parameters against 8,590,065,664", ("shared-weights", "parameter-counts", "cost-of-dense-layers")),
            ("Down-sampling: stride, pooling", ("stride", "average-pooling", "max-pooling")),
            ("Dilation", ("dilation",)),
            ("Fashion-MNIST", ("fashion-example", "patterns", "dropout", "batch-norm")),
            ("Dogs and cats: maps, filter response", ("feature-maps", "filter-response")),
            ("Grad-CAM, occlusion", ("grad-cam", "occlusion")),
            ("Receptive field, deeper", ("receptive-field",)),
            ("Popular architectures", ("depth-and-cost", "vgg", "residuals", "inception", "after-resnet")),
            ("Fixed layers for another task; global pooling", ("pretrained", "global-pooling")),
            ("Depth-wise, group-wise, point-wise; MobileNet, ShuffleNet", ("groups", "one-by-one")),
            ("Pre-defined sparsity", ("predefined-sparsity",)),
            ("Pruning, quantisation, binarisation", ("pruning", "sharing", "binary-weights")),
            ("Back-propagation", ("backward-convolution", "backward-pooling")),
        ),
    ),
    Lecture(
        deck="003",
        file="003_3261a3ef4aab86a4.txt",
        title="Convolutional neural nets, part 1: architecture and operation",
        slides=(
            ("Neuroscience; human and computer vision", ("visual-cortex", "images-as-numbers", "uses")),
            ("ImageNet", ("data-sets", "depth-and-cost")),
            ("The laser sensor; convolution", ("signals",)),
            ("Several axes; cross-correlation; the animation", ("one-two-three-axes", "correlation", "sliding-kernel")),
            ("Filters, designed and learnt", ("kernels-by-hand", "learnt-filters")),
            ("Convolution over volumes", ("input-channels", "output-channels", "one-output")),
            (
                "Why: local connections, shared weights",
                ("cost-of-dense-layers", "shared-weights", "shifts", "as-a-matrix"),
            ),
            ("Building a network; kinds of layers", ("kinds-of-layers", "backward-convolution", "parameter-counts")),
            ("Stride and output size", ("stride", "output-size")),
            ("Zero padding: full, same, valid", ("padding",)),
            ("ReLU, pooling, eliminating pooling", ("relu", "max-pooling", "average-pooling", "without-pooling")),
            ("Fully connected layers", ("flatten-and-dense", "dropout", "softmax")),
            ("Putting it together: LeNet-5, ConvNetJS, the viewer", ("lenet", "convnetjs", "feature-maps")),
        ),
    ),
    Lecture(
        deck="004",
        file="004_f140c16528bc2ec7.txt",
        title="Introduction to deep learning: convolutional neural networks",
        slides=(
            ("Images are numbers", ("images-as-numbers",)),
            ("Drawbacks of dense layers", ("cost-of-dense-layers", "shifts")),
            ("Motivation and intuition: kernels find features", ("visual-cortex", "kernels-by-hand", "learnt-filters")),
            ("The operator in signal processing", ("signals",)),
            ("Convolution in networks: invariance, locality", ("sliding-kernel", "shared-weights", "one-output")),
            ("Two filters on strokes; edges", ("output-channels", "kernels-by-hand")),
            ("Padding and strides", ("padding", "stride", "output-size")),
            ("Several input and output channels", ("input-channels", "output-channels")),
            ("Non-linearity", ("relu",)),
            ("Pooling", ("max-pooling", "average-pooling")),
            ("Flattening, softmax", ("flatten-and-dense", "softmax")),
            ("ConvNetJS", ("convnetjs",)),
            ("LeNet-5, stagnation, revival", ("lenet", "vanishing-gradients", "initial-weights")),
            ("AlexNet", ("alexnet", "augmentation", "dropout", "optimisers")),
            ("VGG", ("vgg",)),
            ("Network in network", ("network-in-network", "one-by-one", "global-pooling")),
            ("GoogLeNet", ("inception",)),
            ("ResNet", ("residuals",)),
        ),
    ),
)
"""The five decks."""


def decks_of(name: str) -> dict[str, list[str]]:
    """Return in which decks a topic occurs, and on which slides."""
    found: dict[str, list[str]] = {}
    for lecture in LECTURES:
        for slides, topics in lecture.slides:
            if name in topics:
                found.setdefault(lecture.deck, []).append(slides)
    return found
