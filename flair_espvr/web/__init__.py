"""A page to try a tagger on: `flair-espvr demo`. Needs the `demo` extra (Gradio)."""
