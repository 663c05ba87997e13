"""The hands: processes that run the work. Actors take ids and call one use case."""
