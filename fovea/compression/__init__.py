"""What makes any `nn.Module` smaller and faster: steps that change a network, one file or package per kind."""
