"""The doors: HTTP and the command line. Thin: each calls use cases of `app`, or the API."""
