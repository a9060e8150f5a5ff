"""The product: takes complaints, knows who answers, files tickets, sends replies. No HTTP server, no HTML."""
