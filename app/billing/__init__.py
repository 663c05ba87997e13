"""Money: what calls cost, what batches may spend, and whose credits paid."""
