"""From images to files about them, written once: captions. Training never imports this."""
