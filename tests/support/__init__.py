"""What tests of several rooms share beside fixtures."""
