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
            "LeCun et al. trained such networks by gradients; they read zip codes in 1989 and cheques in 1998. "
            "LeNet-5 has two convolutions of 5 x 5, two pooling layers, dense layers of 120 and 84 units, and ten "
            "outputs. Its common form has 61,706 parameters.",
            "The network of the paper of 1998 differs: its pooling layers have weights, its third layer reads only "
            "some of the maps, and its outputs are distances to fixed drawings of the characters. `lenet5_1998` is "
            "that network: 60,000 parameters.",
        ),
        tries=("Train it on digits and draw some in Look.",),
        notice=("78 % of its parameters are in one layer, from 400 inputs to 120 units.",),
        pictures=(measured("LeNet-5, layer by layer.", "lenet5", "lenet5_1998", "lenet1"),),
        links=(train("LeNet-5 on digits", data="digits", model="lenet5"), network("LeNet-5", model="lenet5")),
        errata=("LeNet-5",),
    ),
    Topic(
        name="alexnet",
        title="AlexNet",
        text=(
            "AlexNet won the ImageNet contest of 2012. It has five convolutions and three dense layers, and was "
            "trained with ReLU, dropout and augmentation on two graphics cards. Its first filters are 11 x 11 with "
            "stride 4, its pooling windows of 3 x 3 with stride 2 overlap, and it normalises across channels, which "
            "later networks dropped.",
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
            "ZFNet is AlexNet with smaller first filters, 7 x 7 with stride 2, and more channels in later layers. Its "
            "authors found these changes by visualising what the layers of AlexNet respond to.",
        ),
        tries=("Compare the three versions: ZFNet, as the slide describes it, and as its Figure 3 shows it.",),
        notice=(
            "With the change as the slide of deck 001 prints it, the last maps would have 13 x 13 cells, and the "
            "network 386,548,840 parameters.",
        ),
        pictures=(measured("ZFNet.", "zfnet", "zfnet_slide", "zfnet_figure3"),),
        links=(network("ZFNet", model="zfnet"),),
    ),
    Topic(
        name="vgg",
        title="VGG: only 3 x 3",
        text=(
            "VGG consists of blocks of 3 x 3 convolutions and 2 x 2 pooling, with 11 to 19 layers. Three 3 x 3 layers "
            "have the receptive field of one 7 x 7 layer, with 27 weights instead of 49 for each pair of channels, "
            "and two more ReLUs.",
            "The deep versions did not train from random weights; their first layers were initialised with those of a "
            "shallower version.",
        ),
        tries=("Find the layer with the most parameters, and the one with the largest output.",),
        notice=(
            "Early layers have the largest outputs, late ones the most parameters: the first dense layer has "
            "102,760,448 weights.",
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
            "Two 1 x 1 convolutions follow each convolution: a small dense network at each pixel. The last layer has "
            "a map for each class, whose mean is the score of the class. There is no dense layer.",
        ),
        tries=("Find the global pooling at its end.",),
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
            "An Inception module uses several kernel sizes at once: convolutions of 1 x 1, 3 x 3 and 5 x 5 and "
            "pooling run side by side, and their maps are concatenated. Done naively this costs too much, and the "
            "channels grow with each module. 1 x 1 convolutions before the large kernels and after the pooling reduce "
            "the channels.",
            "GoogLeNet stacks nine such modules, ends in global pooling and one dense layer, and has two auxiliary "
            "classifiers in between, whose losses are added in training.",
        ),
        tries=("Work out the six products of deck 001: their sum is 271,351,808, not 358 M.",),
        notice=(
            "On 28 x 28 x 256: 854,196,224 multiply-adds without bottlenecks, a third of that with them.",
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
            "Deeper plain networks get worse even on their training data. This is not overfitting: optimisation "
            "fails, although a deeper network could copy a shallower one and add identity layers. ResNet adds the "
            "input of a block to its output; to be the identity, the block only has to learn 0. Gradients pass "
            "through the sum unchanged.",
            "Where the shapes differ, the shortcut has a 1 x 1 convolution. A network of 152 layers won the ImageNet "
            "contest of 2015.",
        ),
        tries=("Measure a plain and a residual network of 20 layers: their counts are equal.",),
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
            "for each channel, by which the maps are multiplied. So the content of the image decides which channels "
            "count.",
        ),
        tries=("Compare ResNet-50 and SE-ResNet-50.",),
        notice=("It has 2.5 million more parameters, and hardly more arithmetic.",),
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
            "Wide ResNet has fewer layers with more channels. ResNeXt uses many groups. In DenseNet each layer reads "
            "all layers before it. ResNets with identity mappings have norm and ReLU before the convolution, so that "
            "the shortcut only copies. MobileNet and ShuffleNet are made for phones. NASNet was found by architecture "
            "search. EfficientNet scales depth, width and resolution together.",
        ),
        tries=("Compare two of them in the room Network.",),
        notice=(
            "EfficientNet-B0 has a fifth of ResNet-50's parameters and a tenth of its arithmetic, at a higher "
            "accuracy.",
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
            "From 2012 to 2015 the winners went from 8 to 152 layers and from 16 to 3.6 % top-5 error. After that, "
            "networks were designed to need less arithmetic, memory and time.",
            "Parameters and arithmetic are different costs: most of VGG's parameters are in dense layers, which need "
            "little arithmetic.",
        ),
        tries=("Look for a network that is small and accurate: `fovea models --max-macs 1G`.",),
        notice=("The networks that no other one beats at their cost: MobileNets and EfficientNets.",),
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
