"""Looking into networks: maps, what excites a filter, Grad-CAM, occlusion, retrieval, style."""

from fovea.course.topic import Picture, Topic, explain, grid, look, network

TOPICS = (
    Topic(
        name="feature-maps",
        title="Looking at feature maps",
        text=(
            "The maps of each layer on one image show what its filters find. Decks 001 and 002 show them as pictures; "
            "deck 003 links to a 3-D viewer whose page no longer exists. Look shows the maps of any network, image "
            "and layer, and has a 3-D view.",
        ),
        tries=(
            "Move over a map: what a unit reads is framed on the image and on every layer before.",
            "Draw a digit, and watch.",
        ),
        notice=("Deep maps are coarse and mostly 0: each says what is there, but hardly where.",),
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
            "Begin with noise and change the image, by gradients, so that one filter responds more and more. The "
            "resulting picture shows what the filter responds to: stripes and colours for early filters, textures and "
            "parts for late ones.",
        ),
        tries=("`fovea explain MODEL --show maximise` draws them.",),
        notice=("Without a penalty that keeps the image smooth, the result is noise in which people see nothing.",),
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
            "Each map of a late layer is weighted by the mean of its gradient, which says how much it matters to the "
            "class. The weighted maps are added, and values below 0 become 0: a coarse map of where the class was "
            "found.",
            "Such maps can mislead. `fovea trust` measures whether they show what the network used.",
        ),
        tries=("Compare two classes of one image.", "Compare a late and an early layer."),
        notice=("The map is as coarse as the layer: 7 x 7 for most networks at 224 pixels.",),
        pictures=(
            grid(
                "The weighted sum of four maps.",
                "0 1; 0 0|1 0; 0 0|0 0; 3 1|0 0; 1 2",
                "0.5|-0.5|1|0.25",
            ),
        ),
        links=(
            explain("Grad-CAM on the open network", method="gradcam"),
            explain("The same at its first stage: finer, but less specific", method="gradcam", layer="stage1"),
        ),
    ),
    Topic(
        name="occlusion",
        title="Occlusion: what is missed",
        text=(
            "A patch slides over the image and covers a part of it; at each position the drop in the probability of "
            "the class is measured. This needs no gradients, only the answers of the network. Deck 002 shows patches "
            "of 10 to 90 pixels.",
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
            "The last features before the classes describe an image; images with similar vectors are similar to the "
            "network. With AlexNet's 4,096 features the nearest images show the same object in another pose; by "
            "pixels alone, the nearest share the background.",
        ),
        tries=("`fovea index MODEL FOLDER`, then `fovea search`.",),
        notice=("Neighbours show what is similar to the network, and so what it confuses.",),
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
            "An image is changed until its deep features match those of one picture, its content, and the "
            "correlations between its maps in early layers match those of another, its style.",
        ),
        tries=("`fovea style CONTENT STYLE`.",),
        notice=("Which maps respond together describes texture; where they respond describes content.",),
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
