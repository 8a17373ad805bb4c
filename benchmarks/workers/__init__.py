"""One contestant a module: run as a process of its own, in the environment of its library."""
