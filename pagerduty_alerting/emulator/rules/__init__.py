"""How Cloudflare responds, as pure functions and data: no sockets, no threads, no clock."""
