"""Next-symbol prediction: characters, or bytes."""
