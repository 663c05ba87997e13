"""How much may be sent now: rates, calls in flight and pauses per lane, breakers per model."""
