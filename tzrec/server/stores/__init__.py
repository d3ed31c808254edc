"""Feature stores: columns of items and users on the server's side, for requests that leave them out."""
