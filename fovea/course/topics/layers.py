"""What stands between convolutions: ReLU, pooling, dense layers, softmax, dropout, normalisation."""

from fovea.course.topic import Picture, Topic, grid, lab, look, network, train

TEN = "; ".join(" ".join(str(10 * row + column) for column in range(10)) for row in range(10))
POOLED = "0 3 1 6; 2 1 0 2; -1 1 1 1; -1 0 -1 3"
INPUT = "3 3 2 1 0; 0 0 1 3 1; 3 1 2 2 3; 2 0 0 2 2; 2 0 0 0 1"
TWO, THREE = "1 1; 1 1", "1 1 1; 1 1 1; 1 1 1"

TOPICS = (
    Topic(
        name="relu",
        title="ReLU and its relatives",
        text=(
            "Without a non-linear function between them, several linear layers are one linear layer. ReLU sets "
            "negative numbers to 0. Its slope is 1 or 0, so gradients pass through active units unchanged. It costs "
            "next to nothing and has no parameters.",
            "Sigmoid and tanh, used before, are flat at both ends: there the gradient is almost 0.",
        ),
        tries=("Compare the slopes.",),
        notice=("The slope of the sigmoid is 0.25 at most, that of ReLU 1.",),
        pictures=(
            Picture(
                kind="activation",
                caption="The function and its slope.",
                settings={"function": "relu"},
                choices={"function": ("relu", "sigmoid", "tanh", "gelu")},
            ),
        ),
        links=(look("Maps before and after the first ReLU", layer="2"),),
    ),
    Topic(
        name="max-pooling",
        title="Max pooling",
        text=(
            "Max pooling keeps the largest value of each window. With the usual window of 2 x 2 and stride 2, three "
            "of four values are discarded. Each channel is pooled separately, and nothing is learnt.",
            "The output says that a feature is present, but not exactly where.",
        ),
        tries=("Move the 6 inside its window: the output stays.", "Choose stride 1: the windows overlap."),
        notice=("The numbers 0 to 99 in 10 x 10 cells become 11, 13, ... 99, as deck 002 prints.",),
        pictures=(
            grid(
                "The example of deck 004.",
                POOLED,
                TWO,
                kind="max",
                stride="2",
                vary={"stride": ("1", "2"), "kind": ("max", "average")},
            ),
        ),
        links=(
            lab("The 10 x 10 of deck 002", image=TEN, kernel=TWO, kind="max", stride="2"),
            lab("Figure 1.6 of deck 002: 3 x 3, stride 1", image=INPUT, kernel=THREE, kind="max"),
        ),
    ),
    Topic(
        name="average-pooling",
        title="Average pooling",
        text=(
            "Average pooling takes the mean of each window. It is a convolution whose weights are all the same, 1 / 9 "
            "for 3 x 3. LeNet-5 used it, with a learnt scale and shift for each map; max pooling replaced it later.",
        ),
        tries=("Switch between average and maximum.",),
        notice=("The mean weakens a single large value; the maximum keeps it.",),
        pictures=(
            grid(
                "Figure 1.5 of deck 002: 3 x 3, stride 1.",
                INPUT,
                THREE,
                kind="average",
                vary={"kind": ("average", "max")},
            ),
        ),
        links=(lab("The example of deck 004", image=POOLED, kernel=TWO, kind="average", stride="2"),),
    ),
    Topic(
        name="global-pooling",
        title="Global pooling",
        text=(
            "Global pooling replaces each map by its mean, one number for each channel, instead of flattening the "
            "maps. The dense layer after it is small, images may have any size, and the network overfits less.",
            "Network in network and GoogLeNet introduced it; almost every network since ends with it.",
        ),
        tries=("Compare the heads of VGG-16 and ResNet-18.",),
        notice=(
            "VGG-16 has 102,760,448 weights in its first dense layer alone, ResNet-18 513,000 "
            "parameters in its only one.",
        ),
        pictures=(
            Picture(
                kind="network",
                caption="Where the parameters are.",
                settings={"network": "resnet18"},
                choices={"network": ("resnet18", "vgg16", "cifar_nin")},
            ),
        ),
        links=(lab("The mean of a map", image=POOLED, kernel="1 1 1 1; 1 1 1 1; 1 1 1 1; 1 1 1 1", kind="average"),),
    ),
    Topic(
        name="without-pooling",
        title="Without pooling",
        text=(
            "Pooling discards positions, and some networks do without it: a convolution with stride 2 makes maps "
            "smaller too, with learnt weights. All-CNN showed that this works; generative networks use it.",
        ),
        tries=("Compare: a maximum, and a strided kernel.",),
        notice=("`experiments/pooling.py` trains both kinds (docs/experiments.md).",),
        pictures=(grid("A learnt kernel of stride 2.", POOLED, "0.5 0.5; 0 0", stride="2"),),
        links=(network("All-CNN: no pooling but the last", model="cifar_all_cnn_c"),),
    ),
    Topic(
        name="flatten-and-dense",
        title="Flatten, and dense layers",
        text=(
            "The last maps are written as one long vector, and dense layers compute scores from it. A dense layer is "
            "a convolution whose kernels are as large as its input, so its outputs have no positions.",
        ),
        tries=("Point at a unit of a dense layer in Look: it sees the whole image.",),
        notice=("16 maps of 5 x 5 are a vector of 400.",),
        pictures=(
            grid("A dense unit as a kernel of the whole image.", "1 2 3; 4 5 6; 7 8 9", "1 0 -1; 2 0 -2; 1 0 -1"),
        ),
        links=(look("What a unit is made of", layer="1"), network("LeNet-5: 400 into 120", model="lenet5")),
    ),
    Topic(
        name="softmax",
        title="Softmax and the loss",
        text=(
            "Softmax turns scores into probabilities: the exponential of each, divided by their sum. Only differences "
            "between scores count. The loss is minus the logarithm of the true class's probability; its gradient is "
            "the probabilities minus 1 at the true class.",
            "Scores divided by a temperature give less or more extreme probabilities in the same order; `fovea train` "
            "fits it on the validation split, so that of the answers with 80 % confidence about 80 % are correct.",
        ),
        tries=("Change the temperature.",),
        notice=("The largest probability stays the largest.",),
        pictures=(
            Picture(
                kind="softmax",
                caption="Scores 2, 1, 0 and -1 as probabilities.",
                settings={"temperature": "1"},
                choices={"temperature": ("0.25", "0.5", "1", "2", "5")},
            ),
        ),
        links=(look("The probabilities of the open network"),),
    ),
    Topic(
        name="dropout",
        title="Dropout",
        text=(
            "In training each unit is left out with probability p, chosen anew at each step. Those that stay are "
            "scaled by 1 / (1 - p), so that sums keep their expected size. In use no unit is left out.",
            "This trains many subnetworks that share weights. The whole network approximates their mean, an ensemble "
            "at no extra cost.",
        ),
        tries=("Change p.",),
        notice=("The mean over many masks is 1.", "Deck 000: dropout lifts its CIFAR-10 network from 73.5 to 83.5 %."),
        pictures=(
            Picture(
                kind="dropout",
                caption="One mask over 64 units, as they are scaled.",
                settings={"p": "0.5"},
                choices={"p": ("0.1", "0.2", "0.5", "0.8")},
            ),
        ),
        links=(network("AlexNet, which made it known", model="alexnet"), train("Train with dropout", data="digits")),
    ),
    Topic(
        name="batch-norm",
        title="Batch normalisation",
        text=(
            "Over a batch each channel is shifted to mean 0 and scaled to variance 1, then scaled by gamma and "
            "shifted by beta, which are learnt. With gamma = sigma and beta = mu the output equals the input.",
            "In use, running averages replace the statistics of the batch, so the layer behaves differently in "
            "training and in use. Then it is a fixed scale and shift, which can be folded into the convolution before "
            "it (`fovea shrink`).",
        ),
        tries=("Change gamma and beta.", "Look at a batch norm in Look: its arithmetic is written out."),
        notice=(
            "Whatever the input, the output has mean beta and standard deviation gamma.",
            "It allows higher learning rates: 67 instead of 43 % after the same steps (docs/experiments.md).",
        ),
        pictures=(
            Picture(
                kind="batch",
                caption="Numbers of one channel before and after.",
                settings={"gamma": "1", "beta": "0"},
                choices={"gamma": ("0.5", "1", "2"), "beta": ("-2", "0", "2")},
            ),
        ),
        links=(
            look("The layers of the open network", layer="1"),
            network("BN-Inception, where it came with", model="bn_inception"),
        ),
        errata=("`pure_batch_norm`",),
    ),
    Topic(
        name="other-norms",
        title="Layer, instance and group normalisation",
        text=(
            "They differ in which numbers share a mean. Batch norm: one channel, over all images. Layer norm: one "
            "image, over all channels. Instance norm: one image and one channel. Group norm: one image and some "
            "channels.",
            "Only batch norm looks at other images; the others do the same in training and in use.",
        ),
        tries=("Choose one and see which cells are normalised together.",),
        notice=("Instance norm removes contrast, which is why style transfer uses it.",),
        pictures=(
            Picture(
                kind="shared",
                caption="Four images of four channels: cells of one colour share mean and variance.",
                settings={"norm": "batch"},
                choices={"norm": ("batch", "layer", "instance", "group")},
            ),
        ),
        links=(network("A network with batch norms", model="cifar_resnet20"),),
    ),
    Topic(
        name="patterns",
        title="Putting layers together",
        text=(
            "C for convolution, R for ReLU, P for pooling, F for dense: CRCRP CRCRP F is a network. Blocks of the same "
            "form are stacked; channels double where maps halve.",
            "The network `pattern` is built from such a string.",
        ),
        tries=("Write a pattern of your own in the room Network and see what it costs.",),
        notice=("A block of two 3 x 3 convolutions and a pooling layer is VGG's.",),
        pictures=(
            Picture(
                kind="network",
                caption="One and three such blocks: the CIFAR-10 networks of deck 000.",
                settings={"network": "vgg_block3"},
                choices={"network": ("vgg_block1", "vgg_block3")},
            ),
        ),
        links=(network("Three blocks", model="vgg_block3"), network("A pattern", model="pattern")),
    ),
)
