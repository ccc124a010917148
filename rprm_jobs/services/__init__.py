"""What the commands and the workers do, put together from the store, the broker and the pure parts."""
