"""Which price charges a call, and what the call then costs."""
