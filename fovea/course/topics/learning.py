"""How networks learn: gradients through layers, optimisers, rates, initial weights, data, "
"and the lectures' examples."""

from fovea.course.topic import Picture, Topic, grid, lab, look, network, train

TOPICS = (
    Topic(
        name="backward-convolution",
        title="Back through a convolution",
        text=(
            "The output is a matrix times the input, so the gradient of the input is the transpose times the gradient "
            "of the output. Written as sliding: correlate the output's gradient, padded in full, with the reflected "
            "kernel.",
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
            "Of a maximum all gradient goes to the cell it was taken of, 0 to the others. Of a mean each of Q cells "
            "gets a Q-th.",
        ),
        tries=("Switch between maximum and mean; the gradient stands beside it in the lab.",),
        notice=("Where windows overlap, a cell can win twice, and gets 2.",),
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
            "Going back, the gradient is multiplied by each layer's slope. The sigmoid's is 0.25 at most: after twelve "
            "layers less than a ten-millionth is left. ReLU's slope of 1 leaves it whole.",
            "That, slow computers and little data kept networks shallow until 2006 to 2011: better initial weights, "
            "ReLU and graphics cards changed it.",
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
            "Weights too small let signals die out, too large let them explode. Glorot and Bengio chose the spread by "
            "the number of inputs and outputs, He et al. by the inputs, for ReLU. Before that networks were trained "
            "layer by layer without labels.",
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
            "SGD goes against the gradient of a small batch. Momentum keeps a velocity, and so calms the zigzag across "
            "a valley. RMSprop, Adadelta and Adam divide each weight's step by the size of its recent gradients.",
        ),
        tries=("Choose another, and another rate.",),
        notice=("In a narrow valley plain descent zigzags; with momentum it rolls.",),
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
            "Large steps first, small ones to settle. ResNet divided by ten at half and three quarters of its steps; "
            "today half a cosine or one cycle is common. `fovea train` finds and plans it, `--find-lr` shows the test.",
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
            "Flipped, shifted, cropped and recoloured copies are new examples for nothing: the network learns what "
            "does not matter. Only what leaves the label true may be done: a mirrored 3 is no 3.",
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
            "Three decks point at ConvNetJS, a page that trains a small network on CIFAR-10 and shows its filters and "
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
        notice=("The larger network is not the one with more parameters: 1,060,138 in one block, 550,570 in three.",),
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
            "1,679,082 parameters, 1,408 of them statistics that are not trained; about 93.5 %, against 88 % of dense "
            "layers.",
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
            "Features learnt on ImageNet serve other tasks: keep the body, replace the head, train that alone or all "
            "of it gently. It needs far fewer images.",
            "Or take the last features as a description of the image, for retrieval or another classifier.",
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
            "Several networks that err in different places are right together more often: the mean of their "
            "probabilities is used. Contests were won so; in use it costs as many passes. `fovea shrink` with the step "
            "distil teaches one network what several say.",
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
