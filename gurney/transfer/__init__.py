"""Pure decisions: item and transfer states, retry, routing."""
