"""Networks: word and image features in, emissions and named losses out; one file a model."""
