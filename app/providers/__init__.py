"""Providers: pure adapters that build a request and read a response, and what sends them."""
