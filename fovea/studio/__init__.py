"""The network in the browser: a local page whose rooms look at what is opened, and ask the floors below for it all."""
