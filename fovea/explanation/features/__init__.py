"""What layers hold: kernels, maps, what excites a channel, concepts, and images as the last layer sees them."""
