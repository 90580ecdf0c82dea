"""Why networks convolve: images as numbers, what dense layers cost, where the idea comes from, what it is used for."""

from fovea.course.topic import Picture, Topic, explain, grid, lab, label, look, network, train

BAR = "0 0 0 0 0 0 0; 0 0 1 0 0 0 0; 0 0 1 0 0 0 0; 0 0 1 0 0 0 0; 0 0 0 0 0 0 0"
BAR_MOVED = "0 0 0 0 0 0 0; 0 0 0 0 1 0 0; 0 0 0 0 1 0 0; 0 0 0 0 1 0 0; 0 0 0 0 0 0 0"

TOPICS = (
    Topic(
        name="images-as-numbers",
        title="Images are numbers",
        text=(
            "To a computer a grey image is a grid of numbers, one for each pixel; a colour image is three such grids, "
            "for red, green and blue. An image of H rows, W columns and C channels has C x H x W numbers.",
            "A network sees nothing else. That the numbers lie on a grid, and that neighbours belong together, is what "
            "convolutions make use of.",
        ),
        tries=("Choose another digit.", "Open an image of your own in Look: the first picture there is the input."),
        notice=("Strokes are runs of large numbers; the background is 0.",),
        pictures=(
            Picture(
                kind="digit",
                caption="A handwritten digit of 8 x 8 pixels, values from 0 to 16.",
                settings={"digit": "3"},
                choices={"digit": tuple("0123456789")},
            ),
        ),
        links=(look("The input of the network that is open, as it takes it", layer="0"),),
    ),
    Topic(
        name="cost-of-dense-layers",
        title="What dense layers cost",
        text=(
            "In a dense layer each unit has a weight for each input. With n inputs and u units these are n x u weights "
            "and u biases. A convolution of k x k has k x k weights for each pair of input and output channel, "
            "however large the image is.",
            "A dense layer also ignores the grid: it would learn just as well from images whose pixels were shuffled.",
        ),
        tries=("Make the image larger.",),
        notice=(
            "The count of the dense layer grows with the square of the side; that of the convolution stays the same.",
            "On 16 x 16 pixels, 100 units and 26 classes make 28,326 parameters: the example of deck 004.",
        ),
        pictures=(
            Picture(
                kind="counts",
                caption="Parameters of one layer on a square colour image: 100 dense units against 100 filters.",
                settings={"side": "16", "channels": "1"},
                choices={"side": ("16", "32", "64", "150", "224", "1000"), "channels": ("1", "3")},
            ),
        ),
        links=(network("A network of dense layers, measured", model="mlp"),),
    ),
    Topic(
        name="shifts",
        title="When the object moves",
        text=(
            "If the input of a convolution moves, its output moves with it: it is equivariant to translation. The "
            "same weights are used everywhere, so what is learnt in one place applies in all others.",
            "Pooling makes the answer even less sensitive: a maximum stays the same when the largest value moves "
            "inside its window. Neither makes a network fully invariant, least of all to scale and rotation: that is "
            "learnt from augmented data.",
        ),
        tries=(
            "Compare the two outputs.",
            "Measure it: `fovea evaluate MODEL DATA --robust` shifts, scales and turns.",
        ),
        notice=(
            "The second output is the first one moved by two columns.",
            "A dense network on Fashion-MNIST fell from 88 to 53 % when images moved by 3 pixels, one with "
            "convolutions and pooling from 91 to 67 % (docs/experiments.md).",
        ),
        pictures=(
            grid("A bar under a kernel that finds upright lines.", BAR, "-1 2 -1; -1 2 -1; -1 2 -1"),
            grid("The bar two columns further right.", BAR_MOVED, "-1 2 -1; -1 2 -1; -1 2 -1"),
        ),
        links=(lab("Move the bar yourself", image=BAR, kernel="-1 2 -1; -1 2 -1; -1 2 -1"),),
    ),
    Topic(
        name="visual-cortex",
        title="From the eye to the neocognitron",
        text=(
            "Hubel and Wiesel found cells in the visual cortex that answer to a bar of one direction at one place "
            "(simple cells), and others that answer wherever in a small region it lies (complex cells).",
            "Fukushima built the neocognitron of 1980 on this: layers of S-cells that extract features, and of C-cells "
            "that gather them over a region. It learnt without labels, layer by layer; training by gradients came with "
            "LeNet in 1989.",
        ),
        tries=("Choose kernels of other directions.",),
        notice=("Each kernel answers to edges of its direction and is silent along them, as a simple cell is.",),
        pictures=(
            Picture(
                kind="filter",
                caption="A photograph, and what cells of one direction answer: red above 0, blue below.",
                settings={"kernel": "sobel-x"},
                choices={"kernel": ("sobel-x", "sobel-y", "prewitt-x", "prewitt-y", "laplacian")},
            ),
        ),
        links=(network("The neocognitron, layer by layer", model="neocognitron"),),
    ),
    Topic(
        name="uses",
        title="What convolutional networks do",
        text=(
            "One answer for the whole image: a class, several labels, a grade, a number (`fovea train`). A class for "
            "each pixel: segmentation. Boxes: detection. Named points: poses and landmarks. Nearest images: retrieval. "
            "Another picture in the style of a first: style transfer (`fovea style`).",
            "The decks also show captions, games, generated faces, driving and robots. They need more than a "
            "convolutional network, and this package does not do them.",
        ),
        tries=("Open a model of any of these kinds with `fovea studio MODEL`.", "Label a few images by hand."),
        notice=("The body of the networks is the same; only what follows the last feature map differs.",),
        pictures=(
            Picture(
                kind="networks",
                caption="Networks by what they answer.",
                settings={"answers": "masks"},
                choices={"answers": ("classes", "masks", "boxes", "points")},
            ),
        ),
        links=(label("Label images"), explain("Why a network says what it says"), network("A U-Net", model="unet_on")),
    ),
    Topic(
        name="data-sets",
        title="Data sets, and the ImageNet contest",
        text=(
            "Progress was measured on shared data: MNIST's digits, CIFAR's small photographs, ImageNet's millions of "
            "images in thousands of categories, and the contest of 1,000 classes held from 2010 to 2017.",
            "Digits come with this package; MNIST, Fashion-MNIST and CIFAR are known to it by name; any folder of "
            "images, manifest or COCO file is data too. `fovea check` finds duplicates and leaks before you train.",
        ),
        tries=("Train on digits.", "Give a folder of your own, one folder for each class."),
        notice=("A figure means little without the split it was measured on: training, validation or test.",),
        pictures=(
            Picture(
                kind="networks",
                caption="Networks of the contest, with their published errors.",
                settings={"answers": "classes", "family": "ilsvrc"},
            ),
        ),
        links=(
            train("Train on the digits that are always there", data="digits"),
            train("Train on CIFAR-10", data="cifar10"),
            train("Train on Fashion-MNIST", data="fashion-mnist"),
        ),
        errata=("top-5 errors",),
    ),
    Topic(
        name="kinds-of-layers",
        title="The layers of a network",
        text=(
            "Convolutions make feature maps, ReLU makes the network non-linear, pooling makes maps smaller, and dense "
            "layers compute scores from the last maps. Each layer takes a volume, channels x height x width, and "
            "gives another one.",
            "Convolutions and dense layers have parameters, which are learnt, and hyperparameters, which are chosen. "
            "Pooling has no parameters, but a window and a stride. ReLU has neither.",
        ),
        tries=("Look which layers have parameters, and which cost arithmetic.",),
        notice=("Early layers have the largest outputs, late dense layers the most parameters.",),
        pictures=(
            Picture(
                kind="network",
                caption="LeNet-5, measured layer by layer.",
                settings={"network": "lenet5"},
                choices={"network": ("lenet5", "vgg_block3", "cifar_convnetjs")},
            ),
        ),
        links=(look("The maps of every layer of the open network", layer="1"), network("LeNet-5", model="lenet5")),
        errata=("pooling",),
    ),
    Topic(
        name="limits",
        title="What convolutional networks cannot do",
        text=(
            "They need many examples, know little about how parts are arranged, and are misled by changes that people "
            "do not see. A face whose parts are in the wrong places may still be a face to them: the Picasso problem. "
            "Hinton's capsules keep a pose with each part; they remain expensive.",
            "Data that do not lie on a grid, such as graphs, need other networks, which this package does not have.",
        ),
        tries=("Upload a picture, cut it into parts, put them elsewhere, and compare the bars in Look.",),
        notice=(
            "Global pooling cannot tell where a feature was: rearranged maps have the same mean, as below.",
            "`experiments/picasso.py` measures it on moved parts (docs/experiments.md).",
        ),
        pictures=(
            grid(
                "The mean of a map.",
                "9 0 0 1; 0 0 0 0; 0 0 0 0; 1 0 0 5",
                "1 1 1 1; 1 1 1 1; 1 1 1 1; 1 1 1 1",
                kind="average",
            ),
            grid(
                "The same cells rearranged.",
                "0 0 0 0; 0 9 5 0; 0 1 1 0; 0 0 0 0",
                "1 1 1 1; 1 1 1 1; 1 1 1 1; 1 1 1 1",
                kind="average",
            ),
        ),
        links=(look("Try a rearranged picture"), network("Capsules", model="capsnet")),
    ),
)
