"""Looking into networks: maps, what excites a filter, Grad-CAM, occlusion, retrieval, style."""

from fovea.course.topic import Picture, Topic, explain, grid, look, network

TOPICS = (
    Topic(
        name="feature-maps",
        title="Looking at feature maps",
        text=(
            "The maps of each layer on one image show what its filters find. Decks 001 and 002 show them as pictures, "
            "deck 003 points to a viewer whose layers stand in space; its page is gone. Look shows them of any "
            "network, image and layer, and its 3-D view as blocks that turn.",
        ),
        tries=(
            "Move over a map: what a unit reads is framed on the image and on every layer before.",
            "Draw a digit, and watch.",
        ),
        notice=("Deep maps are coarse and mostly 0: each knows what, hardly where.",),
        pictures=(
            Picture(
                kind="filter",
                caption="A map is a filtered image: one kernel of a first layer.",
                settings={"kernel": "laplacian"},
                choices={"kernel": ("laplacian", "sobel-x", "sobel-y")},
            ),
        ),
        links=(look("All layers of the open network", layer="1"), look("The input", layer="0")),
    ),
    Topic(
        name="filter-response",
        title="Images that excite a filter",
        text=(
            "Begin with noise and change the image, by gradients, so that one filter answers more and more: the "
            "picture that comes out shows what it looks for. Early filters make stripes and colours, late ones "
            "textures and parts.",
        ),
        tries=("`fovea explain MODEL --show maximise` draws them.",),
        notice=("Without something that keeps images smooth, noise that no eye understands excites them most.",),
        pictures=(
            Picture(
                kind="descent",
                caption="The same climb in two dimensions: a step along the gradient each time.",
                settings={"optimiser": "momentum", "rate": "0.05"},
                choices={"rate": ("0.01", "0.05", "0.15")},
            ),
        ),
        links=(look("What excites units on an image of yours", layer="1"),),
    ),
    Topic(
        name="grad-cam",
        title="Grad-CAM: where a class comes from",
        text=(
            "Weigh each map of a late layer by how much it matters to the class, the mean of its gradient, add them "
            "and keep what is above 0: a coarse picture of where the class was found.",
            "Such maps may deceive. `fovea trust` measures whether they point at what the network used.",
        ),
        tries=("Compare two classes of one image.", "Compare a late and an early layer."),
        notice=("The map is as coarse as the layer: 7 x 7 for most networks at 224 pixels.",),
        pictures=(
            grid(
                "The sum at its heart: four maps, weighted, added.",
                "0 1; 0 0|1 0; 0 0|0 0; 3 1|0 0; 1 2",
                "0.5|-0.5|1|0.25",
            ),
        ),
        links=(
            explain("Grad-CAM on the open network", method="gradcam"),
            explain("The same at its first stage: finer, and of less", method="gradcam", layer="stage1"),
        ),
    ),
    Topic(
        name="occlusion",
        title="Occlusion: what is missed",
        text=(
            "Cover a patch of the image and see how far the class falls; slide the patch over all places. It needs no "
            "gradients and asks the network itself. Deck 002 shows patches of 10 to 90 pixels.",
        ),
        tries=("Change the size of the patch.",),
        notice=("Small patches find details, large ones the object; too large ones nothing.",),
        pictures=(
            grid(
                "A patch slides as a kernel does: every place gives one number.",
                "1 1 1 1 1 1; 1 1 1 1 1 1; 1 1 9 9 1 1; 1 1 9 9 1 1; 1 1 1 1 1 1",
                "1 1; 1 1",
            ),
        ),
        links=(
            explain("Occlusion on the open network", method="occlusion"),
            explain("The same with a patch of 8 pixels", method="occlusion", patch="8"),
            explain("Saliency", method="saliency"),
        ),
    ),
    Topic(
        name="retrieval",
        title="Finding images by their features",
        text=(
            "The last features before the classes describe an image; near vectors are images that look alike to the "
            "network. AlexNet's 4,096 numbers found the same dog in another pose, where pixels find the same lawn.",
        ),
        tries=("`fovea index MODEL FOLDER`, then `fovea search`.",),
        notice=("Neighbours show what the network thinks alike: also what it confuses.",),
        pictures=(
            Picture(
                kind="network",
                caption="The last features: what comes before the head.",
                settings={"network": "alexnet"},
            ),
        ),
        links=(explain("Neighbours of an image"),),
    ),
    Topic(
        name="style",
        title="Style transfer",
        text=(
            "Keep what deep layers say of one picture, and how the maps of early layers go together (their "
            "correlations) of another: a photograph as if painted.",
        ),
        tries=("`fovea style CONTENT STYLE`.",),
        notice=("Which maps occur together is texture; where they occur is content.",),
        pictures=(
            Picture(
                kind="shared",
                caption="Style is what instance norm removes: mean and spread of each map.",
                settings={"norm": "instance"},
                choices={"norm": ("instance", "batch")},
            ),
        ),
        links=(network("VGG-19, whose layers are used", model="vgg19"),),
    ),
)
