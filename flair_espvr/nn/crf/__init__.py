"""The conditional random field over BIO2 labels."""
