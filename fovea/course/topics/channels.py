"""Channels, counts of parameters, kernels of one cell, groups; what a unit sees."""

from fovea.course.topic import Picture, Topic, grid, lab, look, network

RGB = "1 0 2; 0 1 0; 2 0 1|0 1 0; 1 0 1; 0 1 0|1 1 0; 0 1 1; 1 0 1"
FOUR = "1 2; 3 4|5 6; 7 8|1 0; 0 1|2 2; 2 2"

TOPICS = (
    Topic(
        name="input-channels",
        title="Several input channels",
        text=(
            "A kernel for a colour image has a grid for each channel. Each channel is correlated with its own grid, "
            "and the results are added, with one bias: still one map.",
            "The kernel slides over rows and columns only; it spans all channels.",
        ),
        tries=("Point at an output cell: cells of all three channels light up.",),
        notice=("Three channels in, one map out.",),
        pictures=(grid("Three channels, one kernel of three grids.", RGB, "1 0; 0 1|0 1; 1 0|1 1; 0 0"),),
        links=(lab("Three channels in the lab", image=RGB, kernel="1 0; 0 1|0 1; 1 0|1 1; 0 0"),),
    ),
    Topic(
        name="output-channels",
        title="Several kernels",
        text=(
            "Each kernel makes one map; a layer of 32 kernels makes 32. Together the maps are the input of the next "
            "layer, whose kernels span all 32.",
            "Later layers have more channels and smaller maps: they say less about where something is, and more about "
            "what it is.",
        ),
        tries=("See the two maps of two kernels.",),
        notice=("Six 5 x 5 kernels on 32 x 32 x 3 make 28 x 28 x 6.",),
        pictures=(grid("One image, two kernels.", "1 0 0 1; 0 1 1 0; 0 1 1 0; 1 0 0 1", "1 -1; -1 1|-1 1; 1 -1"),),
        links=(
            lab("Two kernels in the lab", image="1 0 0 1; 0 1 1 0; 0 1 1 0; 1 0 0 1", kernel="1 -1; -1 1|-1 1; 1 -1"),
            look("All maps of a layer", layer="1"),
        ),
    ),
    Topic(
        name="parameter-counts",
        title="Counting parameters",
        text=(
            "A convolution of O kernels of K x K on I channels has K x K x I x O weights and O biases; a dense layer "
            "from I to O units has I x O weights and O biases. Pooling has none. A batch norm has two per channel, "
            "and two running statistics that are not trained.",
            "A count means little without its convention: some tables add those statistics.",
        ),
        tries=("Add up the rows of LeNet-5.", "Ten 5 x 5 filters on three channels: (75 + 1) x 10."),
        notice=(
            "156 + 2,416 + 48,120 + 10,164 + 850 = 61,706.",
            "94 % of AlexNet's parameters are in three dense layers.",
        ),
        pictures=(
            Picture(
                kind="network",
                caption="Parameters and multiply-adds of each layer.",
                settings={"network": "lenet5"},
                choices={"network": ("lenet5", "alexnet_ungrouped", "fashion_cnn", "dogs_vs_cats")},
            ),
        ),
        links=(
            network("LeNet-5", model="lenet5"),
            network("The Fashion-MNIST network of deck 002", model="fashion_cnn"),
        ),
        errata=("LeNet-5",),
    ),
    Topic(
        name="shared-weights",
        title="Local, shared weights",
        text=(
            "Two ideas save parameters: a unit reads a small neighbourhood only, and all units of a map use the same "
            "weights. A feature detector that is useful in one place is useful in others.",
            "This does not save arithmetic: each weight is used at every position. In a 3 x 3 layer on 64 x 64 that "
            "is 4,096 times.",
        ),
        tries=("Compare 4,640 parameters with 8,590,065,664: deck 002's convolution, and a dense layer of its size.",),
        notice=("The matrix of a convolution has few different numbers; those on each diagonal are equal.",),
        pictures=(grid("A signal of one row: see its matrix in the lab.", "1 2 3 4 5 6", "1 0 -1"),),
        links=(lab("The matrix, row by row", image="1 2 3 4 5 6", kernel="1 0 -1"),),
    ),
    Topic(
        name="as-a-matrix",
        title="A convolution as a matrix",
        text=(
            "Write the image as one column of numbers. Then a convolution is a product with a matrix. It has a row "
            "for each output, is mostly zeros, and holds the same weights in each row, shifted.",
            "Libraries do not build this matrix; they gather patches instead. But it shows how gradients are "
            "computed: the backward pass multiplies by the transpose.",
        ),
        tries=("In the lab point at outputs: their row is framed.",),
        notice=(
            "2 x 2 on 3 x 3: a matrix of 4 x 9.",
            "An edge kernel of two taps on 320 x 280: 267,960 operations by sliding, 16 billion by the dense matrix.",
        ),
        pictures=(grid("The example of deck 000.", "1 2 3; 4 5 6; 7 8 9", "1 2; 3 4"),),
        links=(lab("Its matrix of 4 rows and 9 columns", image="1 2 3; 4 5 6; 7 8 9", kernel="1 2; 3 4"),),
    ),
    Topic(
        name="one-by-one",
        title="1 x 1 convolutions",
        text=(
            "A kernel of one cell mixes the channels of each pixel: the same small dense layer at every pixel. It "
            "changes the number of channels at little cost; bottlenecks of Inception, ResNet and MobileNet are made "
            "of it.",
            "Network in network put such layers after each convolution, and ended with the mean of each map instead "
            "of dense layers.",
        ),
        tries=("Point at an output: one cell of each channel.",),
        notice=("The numbers of rows and columns stay; that of channels becomes smaller.",),
        pictures=(grid("Four channels made into one.", FOUR, "1|0.5|-1|2"),),
        links=(
            lab("Four channels to two", image=FOUR, kernel="1|0|0|1|0|1|1|0"),
            network("Network in network", model="cifar_nin"),
        ),
    ),
    Topic(
        name="groups",
        title="Groups, depthwise and separable convolutions",
        text=(
            "With G groups the channels are divided into G parts, and each kernel reads one part, so that the layer "
            "has 1 / G of the weights. With as many groups as channels, each channel has its own kernel: a depthwise "
            "convolution. A 1 x 1 convolution after it mixes the channels; the two together, a separable convolution, "
            "approximate a full one.",
            "AlexNet had two groups because it was trained on two graphics cards; ResNeXt and ShuffleNet use them by "
            "design. ShuffleNet mixes the groups by shuffling channels.",
        ),
        tries=("Change the groups in the lab: how many grids must each kernel have?",),
        notice=("Deck 002: 144 + 512 + 32 = 688 parameters instead of 4,640.",),
        pictures=(
            grid(
                "Depthwise: four channels, four kernels of one grid.",
                FOUR,
                "1 0; 0 1|0 1; 1 0|1 1; 1 1|1 -1; 1 -1",
                groups="4",
            ),
            Picture(
                kind="network",
                caption="Networks of grouped convolutions.",
                settings={"network": "mobilenet_v1"},
                choices={"network": ("mobilenet_v1", "shufflenet_v2_05", "mobilenet_v2")},
            ),
        ),
        links=(
            lab("Depthwise in the lab", image=FOUR, kernel="1 0; 0 1|0 1; 1 0|1 1; 1 1|1 -1; 1 -1", groups="4"),
            network("MobileNet", model="mobilenet_v1"),
            network("ShuffleNet", model="shufflenet_v2"),
        ),
    ),
    Topic(
        name="receptive-field",
        title="Receptive fields",
        text=(
            "The receptive field of a unit is the part of the input that it depends on. Each layer of K x K with "
            "stride 1 adds K - 1; a stride multiplies what all later layers add. L layers of K x K with stride 1 see "
            "1 + L (K - 1) pixels.",
            "It is not the window in the layer before, which is as large as the kernel. Pixels at the centre of the "
            "receptive field have far more influence than those at its border.",
        ),
        tries=("Add layers, then strides.", "Point at late units in Look: the frame on the image grows."),
        notice=("Three 3 x 3 layers see 7 x 7, with 27 weights instead of 49.",),
        pictures=(
            Picture(
                kind="stack",
                caption="What one unit of the last layer depends on.",
                settings={"layers": "3", "kernel": "3", "dilation": "1", "stride": "1", "causal": "no"},
                choices={"layers": ("1", "2", "3", "4"), "kernel": ("2", "3", "5"), "stride": ("1", "2")},
            ),
        ),
        links=(
            look("The frame of a unit", layer="1"),
            network("Fields of ResNet-18, layer by layer", model="resnet18"),
        ),
        errata=("what a unit sees",),
    ),
)
