"""The room "Convolution lab": one operation on a small grid."""
