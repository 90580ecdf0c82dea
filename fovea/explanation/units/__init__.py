"""One unit of a network: the arithmetic that makes its value, and what of every earlier map it depends on."""
