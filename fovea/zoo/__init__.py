"""The networks, one file per family; importing this package registers them all."""

# `as` under the same name: exported on purpose, to linter and type checker alike
from fovea.zoo import alexnet as alexnet
from fovea.zoo import densenet as densenet
from fovea.zoo import efficientnet as efficientnet
from fovea.zoo import foveola as foveola
from fovea.zoo import googlenet as googlenet
from fovea.zoo import inception as inception
from fovea.zoo import inception_v3 as inception_v3
from fovea.zoo import lenet as lenet
from fovea.zoo import mlp as mlp
from fovea.zoo import mnasnet as mnasnet
from fovea.zoo import mobilenet_v1 as mobilenet_v1
from fovea.zoo import mobilenet_v2 as mobilenet_v2
from fovea.zoo import mobilenet_v3 as mobilenet_v3
from fovea.zoo import nasnet as nasnet
from fovea.zoo import nin as nin
from fovea.zoo import pattern as pattern
from fovea.zoo import resnet as resnet
from fovea.zoo import resnet_cifar as resnet_cifar
from fovea.zoo import resnet_v2 as resnet_v2
from fovea.zoo import resnext as resnext
from fovea.zoo import senet as senet
from fovea.zoo import shufflenet_v1 as shufflenet_v1
from fovea.zoo import shufflenet_v2 as shufflenet_v2
from fovea.zoo import squeezenet as squeezenet
from fovea.zoo import vgg as vgg
from fovea.zoo import vgg_blocks as vgg_blocks
from fovea.zoo import wide_resnet as wide_resnet
from fovea.zoo import xception as xception
