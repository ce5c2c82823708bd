"""The host's share of a decoder: what Python costs where launches cost nothing, counted and timed without a GPU."""
