"""What `renders`, `sessions`, `products`, `items` cost, beside the plainest batch scripts for the same answers."""
