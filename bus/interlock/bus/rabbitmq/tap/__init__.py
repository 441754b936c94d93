"""The fast path under aio-pika: hot channels' frames are read and written here, everything else is left to it."""
