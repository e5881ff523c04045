"""What an upstream answers, as far as it has to be understood or changed."""
