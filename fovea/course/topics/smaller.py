"""Making networks smaller: fewer, shared, coarser and binary weights."""

from fovea.course.topic import Picture, Topic, lab, network

KERNEL = {"kernel": "0.9 -0.1 0.4; 0.05 -0.6 0.2; -0.35 0.8 -0.02"}


def weights(caption: str, way: str, *others: str) -> Picture:
    """Return a kernel before and after it was made coarser."""
    return Picture(kind="weights", caption=caption, settings={"way": way}, choices={"way": (way, *others)})


TOPICS = (
    Topic(
        name="pruning",
        title="Pruning",
        text=(
            "Most weights are small. The smallest are set to 0, the network is trained further, and this is repeated: "
            "nine tenths of the weights can be removed. Single zeros save space but not time; removing whole channels "
            "saves both. `fovea shrink --steps prune=0.5,finetune=3`.",
        ),
        tries=("Remove more weights.",),
        notice=("The largest weights determine what the kernel does.",),
        pictures=(
            weights(
                "A kernel whose smallest weights are set to 0.", "half pruned", "third pruned", "two thirds pruned"
            ),
        ),
        links=(lab("The kernel in the lab", **KERNEL), network("VGG-16: where to save", model="vgg16")),
    ),
    Topic(
        name="sharing",
        title="Shared and quantised weights",
        text=(
            "The weights of a layer can share a few values: 32 values need 5 bits for each weight and a short table. "
            "Or they are rounded to an even grid of 256 levels, for integer arithmetic, or to powers of two.",
        ),
        tries=("Compare the ways.",),
        notice=("With integers a processor is faster too (docs/int8.md).",),
        pictures=(weights("The same kernel with fewer values.", "4 levels", "16 levels", "powers of two"),),
        links=(lab("The kernel in the lab", **KERNEL),),
    ),
    Topic(
        name="binary-weights",
        title="Binary weights",
        text=(
            "Only the signs of the weights are kept, with one factor for each filter; the mean of the absolute "
            "weights is the best one. The weights take twenty to thirty times less space. The network is trained so "
            "from the beginning; the loss of accuracy depends on the network.",
        ),
        tries=("Look at the factor.",),
        notice=("The factor 0.38 is the mean size of the nine weights.",),
        pictures=(weights("Signs and one factor.", "binary", "half pruned"),),
        links=(lab("The kernel in the lab", **KERNEL),),
    ),
    Topic(
        name="predefined-sparsity",
        title="Zeros that are chosen before",
        text=(
            "The positions of the zeros are fixed before training, in repeating patterns. On hardware made for them, "
            "the missing weights are neither stored nor computed.",
        ),
        tries=("Measure `cifar_sparse_resnet18`.",),
        notice=("Four of nine places remain in each kernel.",),
        pictures=(
            Picture(
                kind="network",
                caption="A network of such kernels; its zeros are counted as weights.",
                settings={"network": "cifar_sparse_resnet18"},
            ),
            weights("A kernel of four places.", "four places", "half pruned"),
        ),
        links=(network("In the room Network", model="cifar_sparse_resnet18"),),
    ),
)
