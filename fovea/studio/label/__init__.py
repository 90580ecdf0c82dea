"""The room "Label": labels given by hand, where the network is least sure first, and training again from them."""
