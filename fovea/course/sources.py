"""Where a link, video, demo or animation of the decks is seen in the studio.

A deck's `mark` is text of the line that has the link or speaks of the animation. Papers, data sets and pictures lead to
the topic that shows their idea. Of the two videos of deck 001 the deck's text holds the addresses alone; their place,
behind LeNet-5 and before the case studies, says what they are looked up for.
"""

from typing import NamedTuple

from fovea.course.contents import TOPICS
from fovea.course.topic import RoomLink, explain, lab, look, network, train

INPUT = "3 3 2 1 0; 0 0 1 3 1; 3 1 2 2 3; 2 0 0 2 2; 2 0 0 0 1"
KERNEL = "0 1 2; 2 2 0; 0 1 2"
STROKES = "1 0 0 0 0 1; 0 1 0 0 1 0; 0 0 1 1 0 0; 1 0 0 0 1 0; 0 1 0 0 1 0; 0 0 1 0 1 0"
DIAGONAL = "1 -1 -1; -1 1 -1; -1 -1 1"


class Source(NamedTuple):
    """One line of a deck that leads out of it, or moves."""

    deck: str
    mark: str
    """Text of that line."""
    what: str
    """`link`, `video`, `animation`, `demo` or `viewer`."""
    here: RoomLink


def _topic(name: str) -> RoomLink:
    return RoomLink(text=TOPICS[name].title, room="/course", state={"topic": name})


LAYERS = look("Every layer of the open network", layer="1")
CONVNETJS = train("Its network, learning while you look", data="cifar10", model="cifar_convnetjs")
SLIDING = lab("A kernel slides: press Play", image=INPUT, kernel=KERNEL)
STRIDE = lab("The same with stride 2: press Play", image=STROKES, kernel=DIAGONAL, stride="2", padding="1")
VOLUME = lab("Three channels, one kernel", image="1 0; 0 1|0 1; 1 0|1 1; 0 0", kernel="1 0; 0 1|0 1; 1 0|1 1; 0 0")

SOURCES = (
    Source("000", "thispersondoesnotexist", "link", _topic("uses")),
    Source("000", "www.image-net.org", "link", _topic("data-sets")),
    Source("000", "deepai.org/dataset/mnist", "link", train("MNIST", data="mnist")),
    Source("000", "zalandoresearch/fashion-mnist", "link", train("Fashion-MNIST", data="fashion-mnist")),
    Source("000", "~kriz/cifar.html", "link", train("CIFAR-10", data="cifar10")),
    Source("000", "cocodataset.org", "link", _topic("data-sets")),
    Source("000", "pascal/VOC", "link", _topic("data-sets")),
    Source("000", "CelebA.html", "link", _topic("data-sets")),
    Source("000", "cityscapes-dataset", "link", _topic("uses")),
    Source("000", "davischallenge.org", "link", _topic("uses")),
    Source("000", "see animations", "animation", STRIDE),
    Source("000", "1502.03167", "link", _topic("batch-norm")),
    Source("000", "ieeexplore.ieee.org/document/726791", "link", network("LeNet-5", model="lenet5_1998")),
    Source("000", "c399862d3b9d6b76c8436e924a68c45b", "link", network("AlexNet", model="alexnet")),
    Source("000", "1409.1556", "link", network("VGG-16", model="vgg16")),
    Source("000", "1701.04128", "link", _topic("receptive-field")),
    Source("000", "1409.4842", "link", network("GoogLeNet", model="googlenet")),
    Source("000", "1512.03385", "link", network("ResNet-152", model="resnet152")),
    Source("000", "hujie-frank/SENet", "link", network("SENet-154", model="senet154")),
    Source("000", "1709.01507", "link", _topic("squeeze-excitation")),
    Source("000", "www.tensorflow.org", "link", _topic("cifar-example")),
    Source("000", "https://pytorch.org", "link", _topic("kinds-of-layers")),
    Source("000", "keras.io", "link", _topic("cifar-example")),
    Source("000", "rTawFwUvnLE", "video", _topic("limits")),
    Source("000", "1710.09829", "link", network("Capsules", model="capsnet")),
    Source("000", "1812.08434", "link", _topic("limits")),
    Source("001", "ConvNetJS CIFAR-10 demo", "demo", CONVNETJS),
    Source("001", "This demo trains", "demo", CONVNETJS),
    Source("001", "in this demo we're using Adadelta", "demo", _topic("optimisers")),
    Source("001", "@karpathy", "link", CONVNETJS),
    Source("001", "convnetjs/demo/cifar10.html", "demo", CONVNETJS),
    Source("001", "Tsvxx-GG1Tg", "video", _topic("lenet")),
    Source("001", "JboZfxUjLSk", "video", LAYERS),
    Source("002", "stack of causal convolutional layers", "animation", _topic("one-two-three-axes")),
    Source("002", "generated/torch.nn.Conv2d.html", "link", lab("All of its options", image=INPUT, kernel=KERNEL)),
    Source("002", "generated/torch.nn.AvgPool2d.html", "link", _topic("average-pooling")),
    Source("002", "dogs-vs-cats", "link", network("The deck's network", model="dogs_vs_cats")),
    Source("002", "demo", "demo", explain("Grad-CAM on the open network", method="gradcam")),
    Source("002", "grad-cam-pytorch", "demo", explain("Grad-CAM on the open network", method="gradcam")),
    Source("002", "pytorch-receptive-field", "link", network("Fields, layer by layer", model="resnet18")),
    Source("003", "*Deep Learning* by Goodfellow", "link", _topic("kinds-of-layers")),
    Source("003", "Deep Learning Specialization", "link", _topic("kinds-of-layers")),
    Source("003", "Stanford CS231n", "link", _topic("kinds-of-layers")),
    Source("003", "open this file in Adobe Acrobat", "animation", SLIDING),
    Source("003", "vision-systems.com", "link", _topic("visual-cortex")),
    Source("003", "i.pinimg.com", "link", _topic("visual-cortex")),
    Source("003", "braintour.harvard.edu", "link", _topic("visual-cortex")),
    Source("003", "images.app.goo.gl", "link", _topic("visual-cortex")),
    Source("003", "news.byu.edu", "link", _topic("uses")),
    Source("003", "cs231n.stanford.edu/2017", "link", _topic("output-size")),
    Source("003", "en.wikipedia.org/wiki/Convolution", "link", _topic("signals")),
    Source("003", "ConvolutionOperations.html", "link", SLIDING),
    Source("003", "animation 6) C.", "animation", SLIDING),
    Source("003", "FeatureExtractionUsingConvolution", "animation", SLIDING),
    Source("003", "coursera.org/specializations/deep-learning", "link", VOLUME),
    Source("003", "gimpbible.com", "link", _topic("kernels-by-hand")),
    Source("003", "lsvrtutorialcvpr14", "link", _topic("cost-of-dense-layers")),
    Source("003", "fergus_dl_tutorial_final.pptx", "link", _topic("relu")),
    Source("003", "- demo", "demo", CONVNETJS),
    Source("003", "ConvNetJS: training on CIFAR-10", "demo", CONVNETJS),
    Source("003", "convnetjs/demo/cifar10.html", "demo", CONVNETJS),
    Source("003", "~aharley/vis/conv", "viewer", look("The layers in space, of the open network", space="1")),
    Source("004", "[OpenFrames]", "link", _topic("images-as-numbers")),
    Source("004", "[Broher]", "link", _topic("images-as-numbers")),
    Source("004", "[Medium]", "link", _topic("images-as-numbers")),
    Source("004", "AndrewSot]", "link", _topic("kernels-by-hand")),
    Source("004", "AndrewSzot]", "link", _topic("signals")),
    Source("004", "DSP Guide book", "link", _topic("signals")),
    Source("004", "DSP Course", "link", _topic("signals")),
    Source("004", "Animation Source", "animation", lab("The sliding kernel", image=STROKES, kernel=DIAGONAL)),
    Source("004", "Demo: training on CIFAR-10", "demo", CONVNETJS),
    Source("004", "convnetjs/demo/cifar10.html", "demo", CONVNETJS),
    Source("004", "neurohive.io", "link", network("VGG-16", model="vgg16")),
)
"""By deck, in the order of its slides."""
