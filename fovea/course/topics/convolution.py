"""The operation: sliding, its arithmetic, signals, kernels by hand, channels, the matrix, sizes."""

from fovea.course.topic import Picture, Topic, grid, lab, look, network

INPUT = "3 3 2 1 0; 0 0 1 3 1; 3 1 2 2 3; 2 0 0 2 2; 2 0 0 0 1"
KERNEL = "0 1 2; 2 2 0; 0 1 2"
SEVEN = "1 0 0 0 0 1 1; 0 1 0 0 1 0 0; 0 0 1 1 0 0 0; 1 0 0 0 1 0 0; 0 1 0 0 1 0 0; 0 0 1 0 1 0 0; 1 0 0 0 0 1 1"
DIAGONAL = "1 -1 -1; -1 1 -1; -1 -1 1"
UPRIGHT = "-1 1 -1; -1 1 -1; -1 1 -1"
STROKES = "1 0 0 0 0 1; 0 1 0 0 1 0; 0 0 1 1 0 0; 1 0 0 0 1 0; 0 1 0 0 1 0; 0 0 1 0 1 0"
BLACK_BAR = "1 1 0 0 0 0 1 1; 1 1 0 0 0 0 1 1; 1 1 0 0 0 0 1 1"
PIXELS = "60 113 56 139 85; 73 121 54 84 128; 131 99 70 129 127; 80 57 115 69 134; 104 126 123 95 130"

TOPICS = (
    Topic(
        name="sliding-kernel",
        title="A kernel slides over an image",
        text=(
            "A small grid of weights, the kernel or filter, is laid on a patch of the image. Each weight is "
            "multiplied by the pixel below it, and the products are added: this sum is one output. Then the kernel "
            "moves to the next position. All outputs together are a feature map.",
            "A large output means that the patch resembles the kernel. The same weights are used at every position.",
        ),
        tries=("Press Play.", "Point at a cell of the output.", "Open it in the lab and edit the cells."),
        notice=(
            "Each output is computed from nine cells; a 3 x 3 kernel fits into 5 x 5 cells at 3 x 3 positions.",
            "The first output is 12.",
        ),
        pictures=(grid("The example of deck 002: 5 x 5 cells under a 3 x 3 kernel.", INPUT, KERNEL),),
        links=(
            lab("The example of deck 002 in the lab", image=INPUT, kernel=KERNEL),
            lab("The example of deck 004, its first filter", image=STROKES, kernel=DIAGONAL),
        ),
        errata=("the first example of a filter", "the second example of a filter"),
    ),
    Topic(
        name="one-output",
        title="The arithmetic of one output",
        text=(
            "For output (i, j) of filter p: the sum over rows r, columns s and channels k of weight w[r, s, k] times "
            "h[i + r - 1, j + s - 1, k], counted from 1, plus a bias. With indices from 0 the -1 is left out.",
            "In Look this sum is written out for every unit of every layer of a real network.",
        ),
        tries=("Check the 16 of deck 000 by hand.", "Point at a unit of the open network in Look."),
        notice=("A weight of 0 means that the cell does not matter.",),
        pictures=(grid("The patch of deck 000: one product sum.", "4 0 4; 2 3 4; 5 0 3", "1 0 1; 1 0 0; 0 0 2"),),
        links=(
            lab("The patch in the lab", image="4 0 4; 2 3 4; 5 0 3", kernel="1 0 1; 1 0 0; 0 0 2"),
            look("One unit of the first layer, written out", layer="1"),
        ),
    ),
    Topic(
        name="signals",
        title="Signals: weighing measurements by their age",
        text=(
            "Convolution comes from signal processing. Noisy measurements are smoothed by a weighted mean of the last "
            "ones, in which the newest has the largest weight. A kernel whose weights change slowly keeps slow "
            "components (low pass); an impulse minus that kernel keeps fast ones (high pass). A single impulse copies "
            "the signal, a train of impulses repeats it.",
        ),
        tries=("Choose another kernel.", "`fovea filter SIGNAL low-pass-31` does it on a file."),
        notice=("Low pass and high pass add up to the signal.",),
        pictures=(
            Picture(
                kind="signal",
                caption="Three waves on a slow ramp, as in deck 004, and what a kernel makes of them.",
                settings={"kernel": "low-pass-41"},
                choices={
                    "kernel": ("low-pass-41", "high-pass-41", "recent-9", "box-9", "gaussian-9", "dirac-train-31")
                },
            ),
        ),
        links=(lab("The edge of a signal, cell by cell", image="1 1 0 0 0 0 1 1", kernel="1 -1"),),
    ),
    Topic(
        name="correlation",
        title="Convolution and correlation",
        text=(
            "In mathematics, convolution reflects the kernel before it slides: y[i] is the sum of x[m] h[i - m]. "
            "Networks do not reflect it; their operation is called cross-correlation: the sum of h[m] x[i + m]. As "
            "the kernel is learnt, both can compute the same, and in networks both are called convolution.",
            "Convolution is commutative, correlation is not. Reflect the kernel along all axes, and one becomes the "
            "other.",
        ),
        tries=("Switch between the two.",),
        notice=("With a kernel that is its own reflection nothing changes.",),
        pictures=(
            grid(
                "The same kernel, reflected or not.",
                "0 0 0 0 0; 0 0 0 0 0; 0 0 1 0 0; 0 0 0 0 0; 0 0 0 0 0",
                "1 2 3; 4 5 6; 7 8 9",
                vary={"kind": ("correlation", "convolution")},
            ),
        ),
        links=(lab("True convolution in the lab", image=INPUT, kernel=KERNEL, kind="convolution"),),
        errata=("correlation",),
    ),
    Topic(
        name="kernels-by-hand",
        title="Kernels by hand: edges, blur, sharpen",
        text=(
            "Before networks, kernels were designed: differences find edges, means blur, a centre larger than its "
            "surroundings sharpens. Weights that sum to 1 keep the brightness; those that sum to 0 respond only to "
            "change.",
            "Each finds one kind of structure, and it is hard to design a kernel for a wheel or an ear. Networks "
            "therefore learn their kernels.",
        ),
        tries=("Choose another kernel.", "`fovea filter IMAGE sobel-x` does it on a photograph of yours."),
        notice=("The kernel [1, -1] gives 1 where white turns black, and -1 where black turns white.",),
        pictures=(
            Picture(
                kind="filter",
                caption="A photograph under a classic kernel.",
                settings={"kernel": "sharpen"},
                choices={"kernel": ("sharpen", "sobel-x", "sobel-y", "laplacian", "emboss", "box-9", "gaussian-9")},
            ),
            grid("The edge detector of deck 004.", BLACK_BAR, "1 -1"),
        ),
        links=(
            lab("The edge detector in the lab", image=BLACK_BAR, kernel="1 -1"),
            lab("The sharpening kernel of deck 002", image=PIXELS, kernel="0 -1 0; -1 5 -1; 0 -1 0", padding="1"),
        ),
        errata=("the edge kernel [1, -1]",),
    ),
    Topic(
        name="learnt-filters",
        title="What filters learn",
        text=(
            "The first layers of networks for photographs learn edges of all directions and contrasts between two "
            "colours; the best-known picture shows AlexNet's 96 filters of 11 x 11. Later layers combine them into "
            "textures, parts and objects.",
            "A unit of a dense first layer has weights for the whole image: it is a template of the whole image.",
        ),
        tries=("Open a trained model and look at the maps of its first layers.",),
        notice=("Maps of early layers look like the image; those of late layers are small and mostly 0.",),
        pictures=(
            Picture(
                kind="filter",
                caption="What the first layer of a photograph network resembles: edge detectors.",
                settings={"kernel": "sobel-x"},
                choices={"kernel": ("sobel-x", "sobel-y", "laplacian")},
            ),
        ),
        links=(
            look("The maps of the first layer", layer="1"),
            network("AlexNet's first layer: 96 filters of 11 x 11", model="alexnet"),
        ),
    ),
    Topic(
        name="output-size",
        title="How large the output is",
        text=(
            "n cells, a kernel of k, p cells of padding on each side and stride s give (n + 2p - k) / s + 1, rounded "
            "down. Deck 004 counts both sides in its p: its formula has p once.",
            "If the division leaves a remainder, the last cells are never covered. The lab says so, and so does "
            "`fovea measure --strict` for each layer.",
        ),
        tries=("Try strides 1, 2 and 3 on 7 x 7 cells.", "Add padding until stride 3 fits."),
        notice=(
            "A 3 x 3 kernel on 7 x 7 cells gives 5 x 5 outputs, with stride 2 3 x 3. With stride 3 it does not fit; "
            "with one cell of padding it does.",
        ),
        pictures=(
            grid(
                "7 x 7 cells and a 3 x 3 kernel.",
                SEVEN,
                DIAGONAL,
                vary={"stride": ("1", "2", "3"), "padding": ("valid", "1")},
            ),
        ),
        links=(
            lab("Stride 3 does not fit", image=SEVEN, kernel=DIAGONAL, stride="3"),
            lab("With padding it does", image=SEVEN, kernel=DIAGONAL, stride="3", padding="1"),
        ),
    ),
    Topic(
        name="stride",
        title="Stride",
        text=(
            "The stride is how far the kernel moves each time. Stride 2 halves rows and columns, leaves a quarter of "
            "the arithmetic, and doubles what each later layer adds to the receptive field.",
            "It is one of two ways to make maps smaller; the other is pooling.",
        ),
        tries=("Press Play with stride 1, then with stride 2.",),
        notice=("With stride 2 and padding 1 on 6 x 6, the last row and column of padding are not covered.",),
        pictures=(
            grid(
                "6 x 6 cells, one cell of padding.",
                STROKES,
                DIAGONAL,
                padding="1",
                stride="2",
                vary={"stride": ("1", "2", "3")},
            ),
        ),
        links=(lab("Stride 2 in the lab", image=STROKES, kernel=DIAGONAL, stride="2", padding="1"),),
    ),
    Topic(
        name="padding",
        title="Padding: valid, same, full",
        text=(
            "Without padding (valid) each layer loses k - 1 rows and columns, and cells at the edge are read less "
            "often. With (k - 1) / 2 zeros on each side (same) the size stays. With k - 1 zeros (full) the output is "
            "larger than the input: it has a value for every position in which kernel and image overlap.",
            "For an even k, same needs one zero more on one side.",
        ),
        tries=("Compare the three.", "Choose an even kernel in the lab."),
        notice=("5 cells and a kernel of 3 give 3, 5 and 7 outputs.",),
        pictures=(
            grid("Padding by zeros.", INPUT, KERNEL, padding="same", vary={"padding": ("valid", "same", "full")}),
        ),
        links=(
            lab("An even kernel, same", image="1 2 3 4 5", kernel="1 1 1 1", padding="same"),
            lab("Full", image=INPUT, kernel=KERNEL, padding="full"),
            lab("The example of deck 000", example="000: the example of padding", padding="1"),
        ),
        errata=("an example of padding", "same padding"),
    ),
    Topic(
        name="padding-modes",
        title="What is padded with",
        text=(
            "Zeros make a dark frame, and kernels find an edge there. Instead the border can be repeated (replicate), "
            "mirrored (reflect), or taken from the other side (circular).",
        ),
        tries=("Switch, and watch the border of the output.",),
        notice=("On a constant image a difference kernel finds an edge with zeros, and none with the others.",),
        pictures=(
            grid(
                "A constant image under a kernel whose weights sum to 0.",
                "5 5 5 5; 5 5 5 5; 5 5 5 5; 5 5 5 5",
                "0 -1 0; -1 4 -1; 0 -1 0",
                padding="1",
                vary={"mode": ("zero", "replicate", "reflect", "circular")},
            ),
        ),
        links=(lab("Reflected in the lab", image=INPUT, kernel=KERNEL, padding="1", mode="reflect"),),
    ),
    Topic(
        name="dilation",
        title="Dilation",
        text=(
            "A dilated kernel leaves gaps between its weights: 3 x 3 with dilation 2 covers 5 x 5 with nine weights. "
            "Its receptive field is larger at the same cost.",
        ),
        tries=("Change the dilation and play.",),
        notice=("A 3 x 3 kernel with dilation 2 on 7 x 7 cells gives 3 x 3 outputs, as a 5 x 5 kernel would.",),
        pictures=(grid("The figure of deck 002.", SEVEN, DIAGONAL, dilation="2", vary={"dilation": ("1", "2", "3")}),),
        links=(lab("Dilation 2 in the lab", image=SEVEN, kernel=DIAGONAL, dilation="2"),),
    ),
    Topic(
        name="one-two-three-axes",
        title="One, two, three axes; causal stacks",
        text=(
            "A kernel slides along one axis over series, two over images, three over clips or volumes. `fovea train` "
            "takes all three.",
            "A causal layer reads no later samples. In a stack with dilations 1, 2, 4 and 8 each layer doubles the "
            "receptive field: sixteen samples after four layers of kernel 2.",
        ),
        tries=("Compare doubling dilations with dilation 1.", "Make it causal or centred."),
        notice=("Four layers of kernel 2 see five samples without dilation, and sixteen with doubling dilations.",),
        pictures=(
            Picture(
                kind="stack",
                caption="The causal stack of deck 002: what the last unit depends on.",
                settings={"layers": "4", "kernel": "2", "dilation": "doubling", "stride": "1", "causal": "yes"},
                choices={"layers": ("1", "2", "3", "4"), "dilation": ("1", "doubling"), "causal": ("yes", "no")},
            ),
        ),
        links=(
            lab("One dilated layer of it", image="1 2 3 4 5 6 7 8", kernel="1 1", dilation="3"),
            network("A causal network for series", model="causal_1d"),
        ),
    ),
)
