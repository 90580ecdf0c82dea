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
            "A small grid of weights, the kernel or filter, is laid on a patch of the image. Weights and pixels that "
            "lie on each other are multiplied, and the products are added: one number. Then the kernel moves on. The "
            "numbers together are a feature map.",
            "A large number says that the patch resembles the kernel. The same weights are used at every place.",
        ),
        tries=("Press Play.", "Point at a cell of the output.", "Open it in the lab and edit the cells."),
        notice=("Nine cells make one: 3 x 3 fits into 5 x 5 at 3 x 3 places.", "The first cell is 12."),
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
            "h[i + r - 1, j + s - 1, k], counted from 1, plus a bias. Counted from 0 the -1 goes away.",
            "In Look this sum is written out for every unit of every layer of a real network.",
        ),
        tries=("Check the 16 of deck 000 by hand.", "Point at a unit of the open network in Look."),
        notice=("Weights of 0 cost nothing to add and mean: this cell does not matter.",),
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
            "Convolution comes from signals. A noisy sensor is smoothed by a mean of its last values that trusts the "
            "newest most. A kernel of slow weights keeps what is slow (low pass); the impulse less that kernel keeps "
            "what is fast (high pass). A single impulse copies the signal, a train of impulses repeats it.",
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
            "Mathematics reflects the kernel before it slides: y[i] is the sum of x[m] h[i - m]. Networks do not; what "
            "they do is called cross-correlation: the sum of h[m] x[i + m]. As the kernel is learnt, both can do the "
            "same, and everyone says convolution.",
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
            "surroundings sharpens. Weights that sum to 1 keep the brightness; those that sum to 0 answer only to "
            "change.",
            "Each finds one thing, and it is hard to design one for a wheel or an ear. So they are learnt.",
        ),
        tries=("Choose kernels.", "`fovea filter IMAGE sobel-x` does it on a photograph of yours."),
        notice=("The kernel [1, -1] gives 1 where white turns black, and -1 back.",),
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
            "First layers of networks for photographs learn edges of all directions and pairs of colours; AlexNet's 96 "
            "filters of 11 x 11 are the famous picture. Later layers combine them into textures, parts and objects.",
            "A unit of a dense first layer has weights for the whole image: it is a template of everything at once.",
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
            "Where the division leaves a rest, the last cells are never covered. The lab says so, and `fovea measure` "
            "tells it of every layer.",
        ),
        tries=("Stride 1, 2, 3 on 7 x 7.", "Add padding until stride 3 fits."),
        notice=("7 x 7 under 3 x 3: 5, then 3; with stride 3 it does not fit, and with one cell of padding it does.",),
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
            "The stride is how far the kernel moves each time. Stride 2 halves rows and columns, quarters the work, "
            "and lets the layers behind it see twice as far.",
            "It is one of two ways to shrink maps; the other is pooling.",
        ),
        tries=("Play with stride 1, then 2.",),
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
            "Without padding (valid) each layer loses k - 1 rows and columns, and cells at the edge are seen less "
            "often. With (k - 1) / 2 zeros on each side (same) the size stays. With k - 1 (full) it grows: every "
            "overlap counts.",
            "For an even k, same needs one zero more on one side.",
        ),
        tries=("Compare the three.", "Choose an even kernel in the lab."),
        notice=("5 cells under 3: 3, 5 and 7 come out.",),
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
            "It sees further at the same cost.",
        ),
        tries=("Change the dilation and play.",),
        notice=("7 x 7 under 3 x 3 with dilation 2 gives 3 x 3, as 5 x 5 would.",),
        pictures=(grid("The figure of deck 002.", SEVEN, DIAGONAL, dilation="2", vary={"dilation": ("1", "2", "3")}),),
        links=(lab("Dilation 2 in the lab", image=SEVEN, kernel=DIAGONAL, dilation="2"),),
    ),
    Topic(
        name="one-two-three-axes",
        title="One, two, three axes; causal stacks",
        text=(
            "A kernel slides along one axis over series, two over images, three over clips or volumes. `fovea train` "
            "takes all three.",
            "A causal layer reads no later sample. Stacked with dilations 1, 2, 4, 8, each doubles what a unit sees: "
            "sixteen samples after four layers of kernel 2.",
        ),
        tries=("Double the dilation, or leave it.", "Make it causal or centred."),
        notice=("Without dilation four layers of kernel 2 see five samples; doubled, sixteen.",),
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
