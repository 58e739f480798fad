"""What the frozen LDM knows by itself, without any training on masks."""
