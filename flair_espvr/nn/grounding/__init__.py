"""Where images show entities: the head that every model with regions has, and how its logits are read."""
