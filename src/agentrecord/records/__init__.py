"""Typed facts: frozen, slotted, keyword-only dataclasses; nothing here does anything."""
