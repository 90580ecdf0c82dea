"""The networks, one file per family; importing this package registers them all."""

from fovea.zoo import foveola as foveola
from fovea.zoo import lenet as lenet
from fovea.zoo import mlp as mlp
from fovea.zoo import resnet as resnet
from fovea.zoo import vgg_blocks as vgg_blocks
