"""Blueprints for machines: gate, health probes, public keys, and registry notifications."""
