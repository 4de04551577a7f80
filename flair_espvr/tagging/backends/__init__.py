"""Where the engine runs besides this process."""
