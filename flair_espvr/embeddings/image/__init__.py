"""Images as vectors, from frozen backbones."""
