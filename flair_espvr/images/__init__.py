"""Image files: safe loading, folders by image id, worker processes, stored features."""
