"""The lessons as slides and as pages, both to be opened without a server, a kernel or a network."""
