"""One network that holds the weights of all networks of a space: trained once, each network inherits a part of it."""
