"""Latencies on devices that are not at hand: tables, and what ten measurements say of a new device."""
