"""The networks of the lectures, from LeNet to EfficientNet, with their counts."""

from fovea.course.topic import Picture, Topic, grid, lab, network, train


def measured(caption: str, first: str, *others: str) -> Picture:
    """Return the layer table of a network of the zoo, and of others to choose."""
    choices = {"network": (first, *others)} if others else {}
    return Picture(kind="network", caption=caption, settings={"network": first}, choices=choices)


TOPICS = (
    Topic(
        name="lenet",
        title="LeNet-5",
        text=(
            "LeCun et al.: trained by gradients, reading zip codes in 1989 and cheques in 1998. Two convolutions of "
            "5 x 5, two poolings, dense layers of 120 and 84, ten outputs; 61,706 parameters in its common form.",
            "The paper of 1998 differs: its pooling has weights, its third layer reads chosen maps only, its outputs "
            "are distances to drawings. `lenet5_1998` is that network: 60,000 parameters.",
        ),
        tries=("Train it on digits and draw some in Look.",),
        notice=("78 % of its parameters are in one layer, 400 into 120.",),
        pictures=(measured("LeNet-5, layer by layer.", "lenet5", "lenet5_1998", "lenet1"),),
        links=(train("LeNet-5 on digits", data="digits", model="lenet5"), network("LeNet-5", model="lenet5")),
        errata=("LeNet-5",),
    ),
    Topic(
        name="alexnet",
        title="AlexNet",
        text=(
            "The winner of 2012: five convolutions, three dense layers, ReLU, dropout, augmentation, two graphics "
            "cards. First filters of 11 x 11 at stride 4, overlapping pooling of 3 x 3 at stride 2, a normalisation "
            "across channels that later networks dropped.",
        ),
        tries=("Compute the first layer: (227 - 11) / 4 + 1 = 55.",),
        notice=("62,378,344 parameters without groups, 60,965,224 with the two groups of the paper.",),
        pictures=(measured("AlexNet.", "alexnet_ungrouped", "alexnet", "alexnet_owt"),),
        links=(network("AlexNet", model="alexnet"),),
        errata=("AlexNet", "VGG against AlexNet"),
    ),
    Topic(
        name="zfnet",
        title="ZFNet",
        text=(
            "AlexNet with smaller first filters, 7 x 7 at stride 2, and more channels later: found by looking at what "
            "the layers of AlexNet see.",
        ),
        tries=("Compare the three readings of it.",),
        notice=("The change as the slide of deck 001 prints it would leave 13 x 13 maps: 386,548,840 parameters.",),
        pictures=(measured("ZFNet.", "zfnet", "zfnet_slide", "zfnet_figure3"),),
        links=(network("ZFNet", model="zfnet"),),
    ),
    Topic(
        name="vgg",
        title="VGG: only 3 x 3",
        text=(
            "Blocks of 3 x 3 convolutions and 2 x 2 pooling, 11 to 19 layers. Three 3 x 3 see as far as one 7 x 7, "
            "with 27 weights for 49 and two more ReLUs.",
            "Deep ones did not train from scratch; their first layers began with those of a shallower one.",
        ),
        tries=("Find the layer with most parameters, and the one with most numbers.",),
        notice=(
            "Most numbers are early, most parameters late: 102,760,448 weights between maps and first dense layer.",
        ),
        pictures=(
            measured("VGG.", "vgg16", "vgg11", "vgg19"),
            Picture(
                kind="stack",
                caption="Three 3 x 3 layers see 7 x 7.",
                settings={"layers": "3", "kernel": "3", "dilation": "1", "stride": "1", "causal": "no"},
                choices={"layers": ("1", "2", "3")},
            ),
        ),
        links=(network("VGG-16", model="vgg16"),),
        errata=("VGG-16", "VGG", "memory of VGG-16"),
    ),
    Topic(
        name="network-in-network",
        title="Network in network",
        text=(
            "Behind each convolution two of 1 x 1, a small dense network at each pixel; at the end as many maps as "
            "classes, and their means as scores. No dense layer at all.",
        ),
        tries=("Find its only pooling over whole maps.",),
        notice=("966,986 parameters on CIFAR-10, where AlexNet had sixty million.",),
        pictures=(measured("Network in network.", "cifar_nin", "nin"),),
        links=(
            network("On CIFAR-10", model="cifar_nin"),
            lab("1 x 1 in the lab", image="1 2; 3 4|5 6; 7 8", kernel="1|1"),
        ),
    ),
    Topic(
        name="inception",
        title="Inception and GoogLeNet",
        text=(
            "Which kernel size is best? All at once: 1 x 1, 3 x 3, 5 x 5 and pooling side by side, their maps "
            "concatenated. Naively that costs too much, and channels only grow; 1 x 1 convolutions before the large "
            "kernels and behind the pooling make it cheap.",
            "GoogLeNet stacks nine such modules, ends in global pooling and one dense layer, and has two helpers for "
            "its loss on the way.",
        ),
        tries=("Work out the six products of deck 001: their sum is 271,351,808, not 358 M.",),
        notice=(
            "On 28 x 28 x 256: 854,196,224 multiply-adds naively, a third of it with bottlenecks.",
            "6,998,552 parameters.",
        ),
        pictures=(measured("GoogLeNet.", "googlenet", "inception_v3"),),
        links=(network("GoogLeNet", model="googlenet"), network("Inception-v3", model="inception_v3")),
        errata=("GoogLeNet, table 1", "GoogLeNet", "Inception with bottlenecks"),
    ),
    Topic(
        name="residuals",
        title="Degradation, and residual networks",
        text=(
            "Deeper plain networks get worse even on their training data: not overfitting, but training itself fails, "
            "though a deeper one could copy the shallower and add identities. ResNet adds the input of a block to its "
            "output: to be the identity, the block need only learn 0. Gradients pass through the sum undamped.",
            "Where shapes differ, a 1 x 1 convolution stands in the shortcut. 152 layers won in 2015.",
        ),
        tries=("Measure a plain and a residual network of 20 layers: the same counts.",),
        notice=(
            "Training error of 20 and 56 layers: plain 51.7 and 72.5 %, residual 32.1 and "
            "36.3 % after a short training.",
        ),
        pictures=(measured("Residual networks.", "resnet18", "plain18", "resnet50", "cifar_resnet20"),),
        links=(
            network("ResNet-18", model="resnet18"),
            network("Without shortcuts", model="plain18"),
            train("A residual network on CIFAR-10", data="cifar10", model="cifar_resnet20"),
        ),
        errata=("ResNet", "code of a residual module"),
    ),
    Topic(
        name="squeeze-excitation",
        title="Squeeze and excitation",
        text=(
            "The mean of each map (squeeze) goes through two small dense layers and a sigmoid (excitation): a factor "
            "for each channel, by which the maps are multiplied. What the image is about decides which features count.",
        ),
        tries=("Compare ResNet-50 and SE-ResNet-50.",),
        notice=("2.5 million parameters more, hardly any arithmetic.",),
        pictures=(
            measured("With and without.", "seresnet50", "resnet50", "senet154"),
            grid("The squeeze: the mean of each map.", "1 2; 3 4|5 6; 7 8", "1 1; 1 1", kind="average"),
        ),
        links=(network("SE-ResNet-50", model="seresnet50"),),
        errata=("SENet",),
    ),
    Topic(
        name="after-resnet",
        title="After ResNet",
        text=(
            "Wide ResNet: fewer layers, more channels. ResNeXt: many groups. DenseNet: each layer reads all before it. "
            "Identity mappings: norm and ReLU before the convolution, so that the shortcut stays clean. MobileNet and "
            "ShuffleNet: for telephones. NASNet: found by search. EfficientNet: depth, width and size grown together.",
        ),
        tries=("Compare two of them in the room Network.",),
        notice=(
            "EfficientNet-B0 has a fifth of ResNet-50's parameters and a tenth of its arithmetic, at more accuracy.",
        ),
        pictures=(
            measured(
                "Some of them.",
                "efficientnet_b0",
                "densenet121",
                "resnext50_32x4d",
                "wide_resnet50",
                "nasnet_mobile",
                "mobilenet_v2",
            ),
        ),
        links=(
            network("EfficientNet-B0", model="efficientnet_b0"),
            network("DenseNet-121", model="densenet121"),
            network("MobileNetV2", model="mobilenet_v2"),
            network("ResNet-50 with identity mappings", model="resnet50_v2"),
        ),
    ),
    Topic(
        name="depth-and-cost",
        title="Depth, accuracy and cost",
        text=(
            "From 2012 to 2015 the winners went from 8 to 152 layers and from 16 to 3.6 % top-5 error. After that the "
            "question became how little arithmetic, memory and time will do.",
            "Parameters and arithmetic are different costs: VGG has most parameters in dense layers, which compute "
            "little.",
        ),
        tries=("Look for a network that is small and accurate: `fovea models --max-macs 1G`.",),
        notice=("The area of networks that nobody beats at their cost: MobileNets and EfficientNets.",),
        pictures=(
            Picture(
                kind="networks",
                caption="Networks of the decks: parameters, multiply-adds and published errors.",
                settings={"answers": "classes", "family": "decks"},
                choices={"family": ("decks", "ilsvrc", "small")},
            ),
        ),
        links=(network("ResNet-152", model="resnet152"), network("MobileNetV2", model="mobilenet_v2")),
        errata=("top-5 errors", "ResNet"),
    ),
)
