"""How fast a layer runs, on which implementation, and whether it computed the right thing."""
