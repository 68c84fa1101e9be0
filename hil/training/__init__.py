"""Training: the contracts of gradients and updates, and the plan that runs epochs of them."""
