"""Raw logs, read once: what columns there are, what they become, and what is wrong with them."""
