"""Two models compared by what became of payments: paired, where one was the other's shadow, or by customers' arms."""
