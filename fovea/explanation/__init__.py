"""What a network sees: pictures of any `nn.Module`, and whether to believe them. One file per kind of explanation."""
