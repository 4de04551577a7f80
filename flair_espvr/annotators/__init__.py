"""From images to files about them, written once: captions, objects, text. Training never imports this."""
