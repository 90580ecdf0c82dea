"""How networks learn: gradients through layers, optimisers, rates, initial weights, data, "
"and the lectures' examples."""

from fovea.course.topic import Picture, Topic, grid, lab, look, network, train

TOPICS = (
    Topic(
        name="backward-convolution",
        title="Back through a convolution",
        text=(
            "The output is a matrix times the input, so the gradient of the input is the transpose times the gradient "
            "of the output. As a sliding operation: correlate the output's gradient, padded in full, with the "
            "reflected kernel.",
            "The gradient of the kernel is a correlation too: of the input with the output's gradient. With several "
            "kernels their contributions are added.",
        ),
        tries=("See the gradient of the input in the lab; follow a column of the matrix.",),
        notice=("Cells in the middle are read nine times and have the sum of all weights as gradient.",),
        pictures=(
            grid("Forward.", "1 2 3; 4 5 6; 7 8 9", "1 2; 3 4"),
            grid(
                "The same gradient by sliding: ones under the reflected kernel.",
                "1 1; 1 1",
                "1 2; 3 4",
                kind="convolution",
                padding="full",
            ),
        ),
        links=(
            lab("Gradient and matrix", image="1 2 3; 4 5 6; 7 8 9", kernel="1 2; 3 4"),
            lab("By sliding", image="1 1; 1 1", kernel="1 2; 3 4", kind="convolution", padding="full"),
            lab("Transposed convolution", image="1 2; 3 4", kernel="1 2; 3 4", kind="transposed", stride="2"),
        ),
        errata=("back-propagation through a convolution",),
    ),
    Topic(
        name="backward-pooling",
        title="Back through pooling",
        text=(
            "The gradient of a maximum goes to the largest cell; the others get 0. The gradient of a mean of Q cells "
            "is divided equally: each gets 1 / Q of it.",
        ),
        tries=("Switch between maximum and mean; the gradient stands beside it in the lab.",),
        notice=("Where windows overlap, a cell can be the largest of two; its gradients are added.",),
        pictures=(
            grid(
                "A maximum.",
                "0 3 1 6; 2 1 0 2; -1 1 1 1; -1 0 -1 3",
                "1 1; 1 1",
                kind="max",
                stride="2",
                vary={"kind": ("max", "average")},
            ),
        ),
        links=(
            lab(
                "Its gradient", image="0 3 1 6; 2 1 0 2; -1 1 1 1; -1 0 -1 3", kernel="1 1; 1 1", kind="max", stride="2"
            ),
        ),
    ),
    Topic(
        name="vanishing-gradients",
        title="Gradients that vanish",
        text=(
            "In the backward pass the gradient is multiplied by the slope of each layer. The slope of the sigmoid is "
            "at most 0.25: after twelve layers less than a ten-millionth is left. The slope of an active ReLU is 1, "
            "which leaves the gradient unchanged.",
            "This, slow computers and small data sets kept networks shallow until 2006 to 2011, when better initial "
            "weights, ReLU and graphics cards came into use.",
        ),
        tries=("Compare the lines.",),
        notice=("Measured on twelve layers: 1.1e-8 with sigmoids, 0.8 with ReLU (docs/experiments.md).",),
        pictures=(
            Picture(
                kind="depth",
                caption="The largest gradient that can come through so many layers.",
                settings={"function": "sigmoid"},
                choices={"function": ("sigmoid", "tanh", "relu")},
            ),
        ),
        links=(train("Watch gradients of weights while a network learns", data="digits"),),
    ),
    Topic(
        name="initial-weights",
        title="Initial weights",
        text=(
            "If weights are too small, signals vanish from layer to layer; if they are too large, signals explode. "
            "Glorot and Bengio derived the variance from the numbers of inputs and outputs, and He et al. from the "
            "inputs, for ReLU. Before that, networks were pretrained layer by layer without labels.",
        ),
        tries=("Start the same training with several seeds.",),
        notice=("`fovea compare` says how much of a difference between runs is chance.",),
        pictures=(
            Picture(
                kind="depth",
                caption="How a signal's size changes through layers when weights are off by a factor.",
                settings={"function": "scaled"},
                choices={"function": ("scaled", "relu")},
            ),
        ),
        links=(train("Train on digits", data="digits"),),
    ),
    Topic(
        name="optimisers",
        title="Gradient descent and its variants",
        text=(
            "SGD steps against the gradient of a small batch. Momentum averages the steps over time, which reduces "
            "the zigzag across a valley. RMSprop, Adadelta and Adam divide each weight's step by the size of its "
            "recent gradients.",
        ),
        tries=("Choose another, and another rate.",),
        notice=("In a narrow valley plain gradient descent zigzags; with momentum it follows the valley.",),
        pictures=(
            Picture(
                kind="descent",
                caption="Forty steps in a valley that is ten times steeper across than along.",
                settings={"optimiser": "sgd", "rate": "0.15"},
                choices={
                    "optimiser": ("sgd", "momentum", "rmsprop", "adadelta", "adam"),
                    "rate": ("0.01", "0.05", "0.15", "0.3"),
                },
            ),
        ),
        links=(train("Change rate and momentum while a network learns", data="digits"),),
    ),
    Topic(
        name="learning-rate",
        title="Learning rates over time",
        text=(
            "Training begins with large steps and ends with small ones. ResNet divided the rate by ten at half and "
            "three quarters of its steps; today half a cosine or one cycle is common. `fovea train` chooses rate and "
            "schedule; `--find-lr` draws the loss over a sweep of rates.",
        ),
        tries=("Choose a schedule.",),
        notice=("Loss drops where the rate drops.",),
        pictures=(
            Picture(
                kind="schedule",
                caption="The factor of the rate over a training.",
                settings={"schedule": "step"},
                choices={"schedule": ("step", "cosine", "linear", "one-cycle", "constant")},
            ),
        ),
        links=(train("Change the rate by hand", data="digits"),),
        errata=("ResNet",),
    ),
    Topic(
        name="augmentation",
        title="Augmentation",
        text=(
            "Flipped, shifted, cropped and recoloured copies are additional examples at no cost: from them the "
            "network learns what does not matter. A change must leave the label true: a mirrored 3 is no 3.",
        ),
        tries=("Start a training and open its preview: the images as the network gets them.",),
        notice=("Deck 000: 84.5 instead of 73.5 % on CIFAR-10.",),
        pictures=(
            Picture(
                kind="digit",
                caption="Which digits stay themselves when mirrored?",
                settings={"digit": "3", "mirrored": "no"},
                choices={"digit": tuple("0123456789"), "mirrored": ("no", "yes")},
            ),
        ),
        links=(train("CIFAR-10 with the planned augmentation", data="cifar10"),),
    ),
    Topic(
        name="convnetjs",
        title="Learning while you look: CIFAR-10 in the browser",
        text=(
            "Three decks link to ConvNetJS, a page that trains a small network on CIFAR-10 and shows its filters and "
            "maps. Here that network is `cifar_convnetjs`, and the room Train shows the same of any network on any "
            "data: curves, filters, maps, gradients, mistakes, at full speed.",
        ),
        tries=("Start it, pause it, go on step by step, change the rate.",),
        notice=("Filters begin as noise; with time edges and colours appear.",),
        pictures=(
            Picture(kind="network", caption="The network of the page.", settings={"network": "cifar_convnetjs"}),
        ),
        links=(
            train("ConvNetJS' network on CIFAR-10", data="cifar10", model="cifar_convnetjs"),
            train("The same on digits, which need no download", data="digits"),
        ),
    ),
    Topic(
        name="cifar-example",
        title="A worked example: CIFAR-10",
        text=(
            "Deck 000 trains four networks: one block, three blocks, three with dropout, three with augmentation. It "
            "prints 67.1, 73.5, 83.5 and 84.5 % test accuracy after 100 epochs.",
        ),
        tries=("Train `vgg_block1` and `vgg_block3`, and compare the runs.",),
        notice=("The deeper network has fewer parameters: 550,570 with three blocks, 1,060,138 with one.",),
        pictures=(
            Picture(
                kind="network",
                caption="The two networks.",
                settings={"network": "vgg_block1"},
                choices={"network": ("vgg_block1", "vgg_block3")},
            ),
        ),
        links=(
            train("Three blocks on CIFAR-10", data="cifar10", model="vgg_block3"),
            network("Three blocks", model="vgg_block3"),
        ),
    ),
    Topic(
        name="fashion-example",
        title="A worked example: Fashion-MNIST",
        text=(
            "Deck 002 builds a network of two blocks for clothes of 28 x 28 pixels, with batch norm and dropout: "
            "1,679,082 parameters, of which 1,408 are running statistics that are not trained. It reaches about 93.5 "
            "%, dense layers 88 %.",
        ),
        tries=("Train `fashion_cnn`; then an MLP.",),
        notice=("One dense layer holds 1,606,144 of the parameters.",),
        pictures=(Picture(kind="network", caption="The network of the deck.", settings={"network": "fashion_cnn"}),),
        links=(
            train("On Fashion-MNIST", data="fashion-mnist", model="fashion_cnn"),
            network("Layer by layer", model="fashion_cnn"),
        ),
    ),
    Topic(
        name="pretrained",
        title="Pre-trained networks",
        text=(
            "Features learnt on ImageNet are useful for other tasks: keep the layers, replace the head, and train the "
            "head alone, or all layers at a low rate. This needs far fewer images.",
            "The last features can also describe the image for retrieval or for another classifier.",
        ),
        tries=("`fovea train DATA --from MODEL` begins with the weights of another model.",),
        notice=("Early layers change least.",),
        pictures=(
            Picture(
                kind="networks",
                caption="Networks with published weights.",
                settings={"answers": "classes", "family": "published"},
            ),
        ),
        links=(train("Train", data="digits"), look("Its features, layer by layer", layer="1")),
    ),
    Topic(
        name="ensembles",
        title="Ensembles",
        text=(
            "Several networks that make different errors are right more often together: the mean of their "
            "probabilities is used. Contests were won in this way, but each member costs a forward pass. `fovea "
            "shrink` with the step distil trains one network on the answers of several.",
        ),
        tries=("Train with three seeds, and compare the runs.",),
        notice=("Eight members on 3,000 images of CIFAR-10: 58.7 against 53.1 % (docs/ensembles.md).",),
        pictures=(
            Picture(
                kind="softmax",
                caption="Another way to milder answers: a temperature.",
                settings={"temperature": "2"},
                choices={"temperature": ("1", "2", "5")},
            ),
        ),
        links=(train("Start several", data="digits"),),
    ),
)
